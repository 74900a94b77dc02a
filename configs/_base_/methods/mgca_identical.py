# MGCA whose identical reports answer alike in the instance-wise alignment, instead of being negatives of one another.
method = dict(alignments=dict(ita=dict(target=dict(type='IdenticalReports'))))
