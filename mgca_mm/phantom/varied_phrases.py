"""How the varied reports name findings: noun phrases, sentence frames and denials, as patterns.

From a pattern each report draws its own wording. ``[a|b|]`` stands for one of its alternatives, of which one may be
empty, and they nest; ``{...}`` is filled in. Of a pair of patterns, the first is a full sentence and the second
telegraphic. A noun phrase starts with ``a`` if it can be counted and with ``+`` if it is a plural. Every phrase was
written for the phantom in the field's usual words; none comes from a patient's report.
"""

Pattern = str
Pair = tuple[Pattern, Pattern]  # full sentence, telegraphic

LUNGS = "consolidation", "atelectasis", "edema", "nodule", "pneumonia"  # the kinds whose absence makes lungs clear

# Severity → words, by field.
GRADES: dict[str, dict[int, Pattern]] = {
    "size": {1: "[small|small|tiny|trace|minimal|small volume]", 2: "[moderate|moderate-sized]", 3: "[large|sizable]"},
    "grade": {1: "[mild|mild|minimal|slight]", 2: "moderate", 3: "[severe|marked|extensive|advanced]"},
    "density": {1: "[subtle|faint|vague|mild|hazy]", 2: "[moderate|moderately dense]", 3: "[dense|extensive|large]"},
    "adverb": {1: "[mildly|slightly|borderline|minimally]", 2: "moderately", 3: "[severely|markedly|massively]"},
    "diameter": {
        1: "[8 mm|approximately 7 mm|9 mm|small|subcentimeter|tiny]",
        2: "[1.5 cm|15 mm|approximately 1.4 cm|medium-sized]",
        3: "[3 cm|3.2 cm|large]",
    },
}
# Zone → where it is: behind a noun, and before one.
AT = {
    "upper": "in the {side} [upper lobe|upper lobe|upper lung|upper lung zone|upper lung field|apex|lung apex]",
    "mid": "in the [{side} mid lung|{side} midlung|{side} mid lung zone|mid portion of the {side} lung|{middle}]",
    "lower": "[in|at|within] the {side} [lower lobe|lung base|base|lower lung|lower lung zone|lower lung field]",
}
WHERE = {
    "upper": "[{side} upper lobe|{side} apical|{side}-sided upper lobe|{side} upper lung|{lobe}]",
    "mid": "[{side} mid lung|{side} midlung|{side} mid lung zone|{side} midlung zone]",
    "lower": "[{side} basilar|{side} basilar|{side} lower lobe|{side} basal|{side} lung base|{side} lower lung|{lobe}]",
}
MIDDLE = {"right": "right middle lobe", "left": "lingula"}
LOBE = {("right", "upper"): "RUL", ("left", "upper"): "LUL", ("right", "lower"): "RLL", ("left", "lower"): "LLL"}

# kind → noun phrases.
NOUNS: dict[str, tuple[Pattern, ...]] = {
    "cardiomegaly": (
        "[{grade} |]cardiomegaly",
        "{grade} [enlargement of the [cardiac silhouette|heart]|cardiac enlargement|heart enlargement]",
        "a {adverb} enlarged [heart|cardiac silhouette]",
    ),
    "pleural_effusion": (
        "a {size} [{side}|{side}-sided] [pleural |]effusion",
        "a {size} [{side} |]pleural effusion [on the {side}|at the {side} base|in the {side} hemithorax]",
        "{size} {side} pleural fluid",
        "blunting of the {side} costophrenic angle [from|due to|consistent with|compatible with] a {size} effusion",
        "{size} fluid [in the {side} pleural space|along the {side} costophrenic sulcus]",
        "[blunting of the {side} [costophrenic angle|costophrenic sulcus]|{side} costophrenic angle blunting]",
        "a {size} layering {side} effusion",
    ),
    "consolidation": (
        "[{density} |]consolidation {at}[| with air bronchograms]",
        "[a |]{density} [focal |lobar |]{where} [airspace |alveolar |]consolidation",
        "a [focal |][{density} |confluent |]{where} [opacity|airspace opacity|parenchymal"
        " opacity|opacification|infiltrate]",
        "a [{density} |focal |][area of |region of |]opacity {at}[| with air bronchograms]",
        "{density} [{where} airspace disease|air space disease {at}|opacification {at}]",
    ),
    "atelectasis": (
        "[{grade} |]{where} [subsegmental |linear |discoid |platelike |plate-like |bandlike |]atelectasis",
        "[{grade} |][linear |subsegmental |platelike |]atelectasis {at}",
        "+ [{grade} |][streaky|linear|bandlike|platelike] [{where} opacities|opacities {at}]",
        "{grade} [volume loss with |][atelectasis|atelectatic change] {at}",
    ),
    "edema": (
        "[{grade} |][pulmonary|interstitial|interstitial pulmonary|pulmonary interstitial] edema",
        "{grade} [central |][pulmonary |][[vascular|venous] congestion[| and edema| with interstitial"
        " edema]|vascular engorgement]",
        "+ [{grade} |][bilateral |][perihilar|interstitial|hazy perihilar|diffuse interstitial] opacities",
        "{grade} perihilar haziness [in both lungs|bilaterally|with septal lines|with indistinct vessels]",
        "+ [{grade} |]bilateral airspace opacities in a perihilar distribution",
        "[{grade} |][prominence of the|increase in] interstitial markings [bilaterally|in both lungs]",
    ),
    "pneumothorax": (
        "a {size} [{side}|{side}-sided] [apical |]pneumothorax",
        "a {size} pneumothorax [on the {side}|at the {side} apex|in the {side} hemithorax]",
        "a {size} {side} pneumothorax with [a visible pleural line|a thin pleural line]",
        "{size} {side} PTX",
    ),
    "nodule": (
        "a [{diameter} |][pulmonary |lung |solitary |round |]nodule {at}",
        "a {diameter} {where} [pulmonary |]nodule",
        "a [{diameter} |rounded |][{where} |]nodular [opacity|density] [projecting over|overlying] the {side} lung",
        "a {diameter} [{where} nodular density|rounded nodular opacity {at}|coin lesion {at}]",
    ),
    "pneumonia": (
        "[{grade} |]{where} [pneumonia|bronchopneumonia]",
        "+ [{grade} |][patchy|multifocal|scattered|several ill-defined] [airspace |][opacities|infiltrates] {at}",
        "+ [{grade} |]patchy {where} [opacities|infiltrates] [consistent|compatible] with [pneumonia|infection]",
        "[{grade} |]patchy [{where} [airspace disease|air space disease]|airspace disease {at}]",
        "a [{grade} |]patchy [infiltrate|airspace opacity] {at}[ suggestive of pneumonia| suggesting infection|]",
    ),
}
MASS_NOUN = "a [{diameter} |large |][{where} mass|mass {at}|lung mass {at}]"  # what a severe nodule is called as well
BOTH_EFFUSIONS = (
    "+ [{size} bilateral|bilateral {size}] [pleural |]effusions",
    "+ {size} effusions [bilaterally|on both sides]",
    "[blunting of [both|the bilateral] costophrenic angles|bilateral costophrenic angle blunting]",
    "{size} bilateral pleural fluid",
)
DEVICE_PHRASES: dict[str, tuple[Pattern, ...]] = {
    "pacemaker": (
        "a [dual lead |dual chamber |]{side}[-sided|] [chest wall |subclavian |pectoral |]pacemaker",
        "a {side} [chest |]pacemaker with leads [projecting over|in|overlying] the right atrium and right ventricle",
        "a {side}-sided [cardiac |]pacing device",
    ),
    "sternal_wires": (
        "+ [intact |][median |midline ||]sternotomy wires",
        "+ [postsurgical|postoperative] changes of [median |prior |]sternotomy with intact wires"
        "|+ sternal wires from median sternotomy",
        "+ sternal wires[ from prior surgery|]",
    ),
    "central_line": (
        "a {side} [central venous catheter|central line|PICC|PICC line|subclavian catheter|IJ catheter]"
        "[ with [its |][distal |]tip [that projects over|in|over|projecting over] the [SVC|mid SVC|superior vena"
        " cava]|]",
    ),
    "port": (
        "a {side}[-sided|] [chest |][port|Port-A-Cath|Mediport|port catheter]",
        "a {side} chest port[| with [distal |catheter |]tip [in|near|at] the [SVC|lower SVC|cavoatrial junction]]",
    ),
    "endotracheal_tube": (
        "a [endotracheal|ET] tube [with tip |]above the carina",
        "a [endotracheal|ET] tube in [standard|satisfactory|appropriate|good] position",
    ),
    "enteric_tube": (
        "a [enteric|NG|nasogastric|feeding] tube [with [its |]tip |][in the stomach|below the diaphragm]",
        "a [enteric|nasogastric|orogastric] tube [coursing|extending] [below the diaphragm|into the upper abdomen]",
    ),
    "chest_tube": ("a {side}[-sided|] [chest tube|thoracostomy tube|pleural drain|pleural catheter]",),
    "ecg_leads": ("+ [overlying |external |multiple |][ECG|EKG|monitoring|telemetry] leads[ over the chest|]",),
    "coin": ("a [radiopaque |metallic |round ]coin {over}", "a [round |rounded |]metallic foreign body {over}"),
    "button": ("a [clothing |]button {over}",),
    "necklace": (
        "a [metallic |]necklace [over|overlying|projecting over] the [upper chest|lower neck|thoracic inlet]",
    ),
}
OVER = "[projecting over|overlying|over] the {side} [{zone} lung|{zone} lung zone|{zone} chest]"

# What a finding may be due to, said in a clause that hedges: words, and the kinds these words name.
CAUSES: dict[str, tuple[tuple[Pattern, tuple[str, ...]], ...]] = {
    "consolidation": (
        (
            "[which may represent|which could represent|may represent|suspicious for|concerning for|likely representing"
            "|that may represent|given the history, consider] [developing |early |]pneumonia",
            ("pneumonia",),
        ),
        (
            "[atelectasis versus infiltrate|may represent atelectasis or infection]",
            ("atelectasis", "pneumonia"),
        ),
        ("possibly atelectasis", ("atelectasis",)),
    ),
    "atelectasis": (
        (
            "[likely|probably|possibly|may represent|most compatible with|likely secondary to|which may reflect]"
            " [scarring|chronic change|fibrosis"
            "|residual scar]",
            (),
        ),
        ("[although |]infiltrate [is not excluded|cannot be excluded|would be difficult to exclude]", ("pneumonia",)),
    ),
    "nodule": (
        (
            "[possibly|likely|probably|may represent|which probably represents] [a|an old|a calcified] granuloma",
            ("nodule",),
        ),
        ("[suspicious for|concerning for] [malignancy|neoplasm]", ()),
        ("indeterminate", ()),
        ("recommend [chest CT|CT|CT of the chest|comparison with previous examinations]", ()),
    ),
    "edema": (("[suggesting|which suggests|suggestive of|which may be related to] fluid overload", ("edema",)),),
    "pleural_effusion": (
        ("[likely|probably|possibly] with [adjacent|associated|underlying] atelectasis", ("atelectasis",)),
    ),
}

# Sentence frames: {a} is one or several noun phrases with their articles, {the} without, {a new} with an adjective
# before the first; {is} and {has} agree in number.
PRESENT: Pair = (
    "[There {is} {a}|There {is} {a}|There {is} {a}|{a} {is}"
    " [seen|noted|present|identified|demonstrated|visualized]"
    "|[The exam|This examination|The film|The study] [shows|demonstrates|reveals] {a}].",
    "[{the}|{the}|{the}|{the} [noted|seen|present|identified]].",
)
TREND: dict[str, Pair] = {
    "new": (
        "[There {is} {a new}|{a} {has} developed since the [prior|previous] [study|exam|film|radiograph]"
        "|{a} {is} new [from|compared to] the prior [study|exam]].",
        "[New {the}|Interval development of {a}|{the}, new since [prior|the previous exam]].",
    ),
    "same": (
        "[{a} {is} [unchanged|stable|again seen|again noted|similar to the prior [study|exam]]"
        "|{a} {has} [not significantly changed|remained stable]|There {is} {a [stable|persistent|unchanged]}].",
        "[[Stable|Unchanged|Persistent|Redemonstrated] {the}|{the}, [stable|unchanged|similar to previous]].",
    ),
    "worse": (
        "[{a} {has} [increased|worsened|progressed] [since the [prior|previous] [study|exam]|in the interval]"
        "|There {is} {a [worsening|increasing]}].",
        "[[Worsening|Increasing|Progressive] {the}|Interval [increase in|worsening of] {the}|{the}, increased].",
    ),
    "better": (
        "[{a} {has} [decreased|improved] [since the [prior|previous] [study|exam|film]|in the interval]"
        "|There {is} {a [improving|decreasing]}].",
        "[[Improving|Decreasing|Improved] {the}|Interval [decrease in|improvement of] {the}"
        "|{the}, [decreased|improved]].",
    ),
}
UNCERTAIN: Pair = (
    "[{a} [cannot be [|entirely |completely ]excluded|may be present|{is} not [|entirely ]excluded]"
    "|There may be {a}|The appearance [could represent|is suggestive of|raises the question of] {a}].",
    "[[Possible|Probable|Questionable|Suspected] {the}|Cannot exclude {a}|[Question of|Suggestion of|Findings may"
    " represent] {a}].",
)
RESOLVED: Pair = (
    "The [previously [seen|noted|described]|prior] {noun} [has resolved|is no longer [seen|visible|present]].",
    "[[Interval |]resolution of [the previous |]{noun}|Prior {noun} no longer [seen|visualized]|{noun} now resolved].",
)
HEART: Pair = (  # a sentence of its own for a large heart
    "[The heart|The heart size|The cardiac silhouette] [is|is|appears] {adverb} enlarged.",
    "[Heart {adverb} enlarged|Heart size {adverb} enlarged|Cardiac silhouette {adverb} enlarged].",
)

# kind → what it is called where it is not there.
ABSENT_NOUN: dict[str, Pattern] = {
    "pneumothorax": "[pneumothorax|pneumothorax|pneumothoraces|PTX]",
    "pleural_effusion": "[pleural effusion|pleural effusion|pleural effusions|effusion|large pleural effusion"
    "|large effusion|pleural fluid]",
    "consolidation": "[focal |focal |lobar |focal alveolar |][consolidation|consolidations|airspace consolidation]",
    "edema": "[pulmonary edema|overt edema|overt pulmonary edema|vascular congestion|heart failure|interstitial edema]",
    "pneumonia": "[pneumonia|acute pneumonia|infection]",
    "nodule": "[suspicious |pulmonary |lung |][nodule|nodules|nodules or masses|mass|masses|mass lesion]",
    "atelectasis": "[atelectasis|lobar collapse|bibasilar atelectasis]",
}
# What a consolidation is called where none of these kinds is there, for the words name each of them.
OPAQUE = {"consolidation", "pneumonia", "edema"}
OPACITY: Pattern = (
    "[focal |focal |lobar |focal alveolar |acute |][consolidation|consolidations|airspace consolidation"
    "|air space opacity|airspace disease|infiltrate|infiltrates|airspace opacities]"
)
ABSENT: Pair = (
    "[There is no [|evidence of |definite |visible ]{list}|No {list} [can be|could be] [seen|identified|appreciated]"
    "|There [are no typical findings of|is nothing to suggest] {list}].",
    "[[No|No|No|No|No|Specifically, no] [||||evidence of |definite |visualized |visible |radiographic evidence of ]"
    "{list}|Negative for {list}|No {list} [seen|identified|demonstrated]].",
)
CLEAR_OF: Pair = (
    "[The lungs|Both lungs|The lungs] [are|appear] clear[ of|, without| without[| evidence of]| with no] {list}.",
    "[Lungs clear|Clear lungs|Lungs clear bilaterally][,|] without {list}.",
)
