"""The words of the reports: noun phrases of findings, descriptions of attributes, and everything that says nothing.

Every phrase was written for the phantom; none comes from a patient's report. A noun phrase is a pair (article, words);
the article is ``'a'``, ``''`` for mass nouns and ``'+'`` for plurals.
"""

SIZE = {1: ("small", "tiny", "trace"), 2: ("moderate", "moderate-sized"), 3: ("large", "sizable")}
GRADE = {1: ("mild", "minimal", "slight"), 2: ("moderate",), 3: ("severe", "marked", "extensive")}
ADVERB = {1: ("mildly", "slightly", "borderline"), 2: ("moderately",), 3: ("severely", "markedly", "massively")}
DIAMETER = {1: ("8 mm", "small", "subcentimeter"), 2: ("1.5 cm", "medium-sized"), 3: ("3 cm", "large")}
DENSITY = {1: ("subtle", "mild", "faint"), 2: ("moderate",), 3: ("dense", "extensive")}

LOCATION = {
    "upper": ("{side} upper lobe", "{side} upper lung", "{side} upper lung zone"),
    "mid": ("{side} mid lung", "{side} mid lung zone", "{side} midlung field"),
    "lower": ("{side} lower lobe", "{side} lung base", "{side} lower lung"),
}

# kind → noun phrases with the fields size, grade, diameter, density, side and location.
NOUNS: dict[str, tuple[tuple[str, str], ...]] = {
    "cardiomegaly": (
        ("", "{grade} cardiomegaly"),
        ("", "{grade} enlargement of the cardiac silhouette"),
        ("", "{grade} cardiac enlargement"),
    ),
    "pleural_effusion": (
        ("a", "{size} {side} pleural effusion"),
        ("a", "{size} pleural effusion on the {side}"),
        ("", "{size} {side} pleural fluid"),
    ),
    "consolidation": (
        ("", "{density} consolidation in the {location}"),
        ("a", "{density} focal consolidation of the {location}"),
        ("", "{density} {location} airspace consolidation"),
    ),
    "atelectasis": (
        ("", "{grade} atelectasis in the {location}"),
        ("", "{grade} {location} plate-like atelectasis"),
        ("", "{grade} linear atelectasis at the {location}"),
    ),
    "edema": (
        ("", "{grade} pulmonary edema"),
        ("", "{grade} interstitial pulmonary edema"),
        ("", "{grade} pulmonary vascular congestion and edema"),
    ),
    "pneumothorax": (
        ("a", "{size} {side} pneumothorax"),
        ("a", "{size} pneumothorax on the {side}"),
        ("a", "{size} {side} apical pneumothorax"),
    ),
    "nodule": (
        ("a", "{diameter} nodule in the {location}"),
        ("a", "{diameter} {location} pulmonary nodule"),
        ("a", "{diameter} rounded lesion projecting over the {location}"),
    ),
    "pneumonia": (
        ("", "{grade} {location} pneumonia"),
        ("+", "{grade} patchy opacities in the {location} consistent with pneumonia"),
        ("", "{grade} bronchopneumonia of the {location}"),
    ),
}
MASS_NOUN = ("a", "{diameter} mass in the {location}")  # what a severe nodule is called as well
BOTH_EFFUSIONS = (
    ("+", "{size} bilateral pleural effusions"),
    ("+", "bilateral {size} pleural effusions"),
    ("", "{size} bilateral pleural fluid"),
)

DEVICE_PHRASES: dict[str, tuple[tuple[str, str], ...]] = {
    "pacemaker": (
        ("a", "{side} chest wall pacemaker with leads in the right atrium and right ventricle"),
        ("a", "dual lead {side} pectoral pacemaker"),
    ),
    "sternal_wires": (("+", "intact median sternotomy wires"), ("+", "midline sternal wires")),
    "central_line": (
        ("a", "{side} central venous catheter terminating in the SVC"),
        ("a", "{side} PICC with tip in the mid SVC"),
    ),
    "port": (("a", "{side} chest port with catheter tip in the SVC"), ("a", "{side} Port-A-Cath")),
    "endotracheal_tube": (
        ("a", "endotracheal tube with tip above the carina"),
        ("a", "ET tube in standard position"),
    ),
    "enteric_tube": (("a", "nasogastric tube coursing below the diaphragm"), ("a", "enteric tube in the stomach")),
    "chest_tube": (("a", "{side} chest tube"), ("a", "{side} pleural drain")),
    "ecg_leads": (("+", "overlying ECG leads"), ("+", "external monitoring leads over the chest")),
    "coin": (
        ("a", "radiopaque coin projecting over the {location}"),
        ("a", "round metallic foreign body over the {location}"),
    ),
    "button": (("a", "button projecting over the {location}"), ("a", "clothing button over the {location}")),
    "necklace": (("a", "necklace overlying the upper chest"), ("a", "metallic chain projecting over the neck")),
}

# Sentence frames: {a} is the noun phrase with its article, {the} without; {is} and {has} agree in number.
PRESENT = (
    "There {is} {a}.",
    "{a} {is} present.",
    "{a} {is} seen.",
    "{a} {is} noted.",
    "{the}.",
    "The exam shows {a}.",
)
TREND = {
    "new": ("There {is} new {the}.", "{a} {is} new from the prior study.", "Interval development of {a}."),
    "same": (
        "{a} {is} unchanged.",
        "{a} {is} stable since the prior study.",
        "Unchanged {the}.",
        "Again there {is} {a}.",
    ),
    "worse": (
        "{a} {has} increased since the prior exam.",
        "{a} {has} worsened in the interval.",
        "{the}, increased from ___.",
    ),
    "better": ("{a} {has} decreased.", "{a} {has} improved since the prior study.", "{the}, improved from prior."),
}
UNCERTAIN = (
    "{a} cannot be excluded.",
    "Possible {the}.",
    "{a} may be present.",
    "Findings could represent {a}.",
    "Question of {a}.",
)
HEART = (
    "The heart is {adverb} enlarged.",
    "Heart size is {adverb} enlarged.",
    "The cardiac silhouette is {adverb} enlarged.",
)
HEART_NORMAL = (
    "Heart size is normal.",
    "The heart is normal in size.",
    "Cardiac silhouette is within normal limits.",
    "The cardiac silhouette is not enlarged.",
)
ABSENT_NOUN = {
    "cardiomegaly": ("cardiomegaly",),
    "pleural_effusion": ("pleural effusion", "effusion", "pleural fluid"),
    "consolidation": ("focal consolidation", "consolidation", "airspace consolidation"),
    "atelectasis": ("atelectasis",),
    "edema": ("pulmonary edema", "edema", "evidence of pulmonary edema"),
    "pneumothorax": ("pneumothorax",),
    "nodule": ("pulmonary nodule", "suspicious nodule", "nodule or mass"),
    "pneumonia": ("pneumonia", "evidence of pneumonia"),
}
ABSENT = ("There is no {list}.", "No {list}.", "No {list} is seen.", "No {list} is identified.", "Negative for {list}.")
RESOLVED = (
    "The previously seen {noun} has resolved.",
    "Interval resolution of {noun}.",
    "Prior {noun} no longer seen.",
)

# attribute → value → descriptions.
ATTRIBUTES: dict[str, dict[object, tuple[str, ...]]] = {
    "lung_volume": {
        -1: ("Lung volumes are low.", "There are low lung volumes.", "Inspiratory effort is poor."),
        0: ("Lung volumes are normal.", "The lungs are well expanded.", "Normal lung volumes."),
        1: (
            "The lungs are hyperinflated.",
            "Hyperexpanded lungs with flattened diaphragms.",
            "Hyperinflation is noted.",
        ),
    },
    "rotated": {
        -1: ("The patient is rotated to the right.", "Rightward patient rotation."),
        1: ("The patient is rotated to the left.", "Leftward patient rotation."),
    },
    "scoliosis": {
        -1: ("There is dextroscoliosis of the thoracic spine.", "Rightward curvature of the thoracic spine."),
        0: ("No acute osseous abnormality.", "The osseous structures are unremarkable.", "Bony structures are intact."),
        1: ("There is levoscoliosis of the thoracic spine.", "Leftward curvature of the thoracic spine."),
    },
    "tortuous_aorta": {
        True: ("The aorta is tortuous.", "Tortuous thoracic aorta.", "The aorta is unfolded and tortuous."),
        False: ("The mediastinal contours are normal.", "Mediastinal contours are unremarkable."),
    },
    "calcified_aorta": {
        True: ("The aortic knob is calcified.", "Atherosclerotic calcifications of the aortic arch."),
    },
    "prominent_hila": {
        True: ("The hila are prominent.", "Prominent hilar contours bilaterally.", "Enlarged hila are noted."),
        False: ("The hilar contours are normal.", "The hila are unremarkable."),
    },
    "elevated_diaphragm": {
        -1: ("The right hemidiaphragm is elevated.", "Elevation of the right hemidiaphragm."),
        1: ("The left hemidiaphragm is elevated.", "Elevation of the left hemidiaphragm."),
    },
    "gastric_gas": {
        True: ("The stomach is distended with gas.", "Gaseous distention of the stomach is noted."),
        False: ("The upper abdomen is unremarkable.",),
    },
}

NORMAL_LUNGS = ("The lungs are clear.", "Lungs are clear bilaterally.", "Both lungs are clear.")
NORMAL_IMPRESSION = (
    "No acute cardiopulmonary process.",
    "No acute cardiopulmonary abnormality.",
    "Normal chest radiograph.",
    "No radiographic evidence of acute cardiopulmonary disease.",
)
DISTRACTORS = (
    "Comparison is made to the prior radiograph of ___.",
    "Evaluation is limited by overlying soft tissues.",
    "The costophrenic sulci are partially excluded from the image.",
    "Findings were discussed with Dr. ___ by telephone at 3:15 pm on ___.",
    "Clinical correlation is recommended.",
    "Follow-up to resolution is advised.",
    "CT may be obtained for further evaluation if clinically indicated.",
    "No free air below the right hemidiaphragm.",
    "Mild degenerative changes are noted in the shoulders.",
)
INDICATIONS = (
    "with cough and fever",
    "with shortness of breath",
    "with chest pain",
    "preoperative evaluation",
    "status post fall",
    "with hypoxia, rule out pneumonia",
    "with history of smoking and weight loss",
    "evaluate interval change",
    "with leukocytosis // ?infiltrate",
    "with dyspnea // acute process?",
)
TWO_WORDS = ("Normal chest.", "No change.", "See above.", "Unchanged exam.")
MISSPELLED = {
    "FINDINGS": ("FINDNGS", "Findings", "FINIDNGS", "FINDING"),
    "IMPRESSION": ("IMPRESSON", "Impression", "IMPRESION", "CONCLUSION"),
}
