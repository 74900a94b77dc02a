"""What the varied reports say of everything but findings: what is normal, the patient's build, the exam itself.

Patterns as in :mod:`.varied_phrases`.
"""

from dataclasses import dataclass

from .varied_phrases import LUNGS, Pair, Pattern


@dataclass(frozen=True)
class Normal:
    """What is said of something that is not abnormal."""

    block: str  # of the section
    topics: tuple[str, ...]  # kinds and attributes of which none may be there
    share: float  # of the reports in which it could be said
    words: Pair
    unless: tuple[str, ...] = ()  # further kinds and attributes beside which it would not be true


NORMALS = (
    Normal("heart", ("cardiomegaly",), 0.9, (
        "[[The heart|The cardiac silhouette] [is|is|is|appears] [normal|normal in size|not enlarged]"
        "|The heart is normal in size and contour|[Heart size|The heart size|Cardiac size] is [normal|within normal"
        " limits|not enlarged]].",
        "[[Heart size|Heart|Cardiac silhouette|Cardiac size] [normal|within normal limits|unremarkable|WNL]"
        "|Normal [heart size|heart|cardiac contour|cardiac silhouette|size of the heart]].")),
    Normal("heart", ("cardiomegaly", "tortuous_aorta"), 0.45, (
        "[The |The |][cardiomediastinal [silhouette|contour]|heart size and mediastinal contour|heart and mediastinum"
        "|cardio mediastinal silhouette] [is|is|is|appears] [normal|unremarkable|within normal limits|normal in size].",
        "[Cardiomediastinal silhouette|Heart and mediastinum|Cardiac and mediastinal [contours|silhouettes]] [normal"
        "|unremarkable|within normal limits|normal in appearance|of normal size and configuration].")),
    Normal("heart", ("tortuous_aorta",), 0.2, (
        "[The mediastinum|Mediastinal contour|The mediastinal contour] [is|is|appears] [normal"
        "|unremarkable|within normal limits|not widened].",
        "[Normal [mediastinum|mediastinal contours|mediastinal silhouette]|Mediastinum unremarkable"
        "|No mediastinal widening|Mediastinum within normal limits].")),
    Normal("heart", ("prominent_hila",), 0.12, (
        "[The hila|The hilar contours|Hilar structures|The pulmonary hila] [are|are|appear] [normal|unremarkable"
        "|within normal limits|symmetric].",
        "[Normal [hila|hilar contours]|Hila [unremarkable|within normal limits]|No hilar [adenopathy|lymphadenopathy]"
        "|No enlarged hilar lymph nodes].")),
    Normal("heart", ("edema",), 0.3, (
        "[The |][pulmonary vasculature|pulmonary vascularity|pulmonary arteries] [is|is|appears] [normal"
        "|within normal limits|unremarkable|not engorged].",
        "[Pulmonary vascularity|Pulmonary vasculature|Vascularity] [normal|within normal limits|grossly normal].")),
    Normal("heart", (), 0.1, (
        "The trachea is [midline|normal in position|in the midline].", "[Trachea midline|Midline trachea]."),
        unless=("rotated",)),
    Normal("lungs", LUNGS, 0.7, (
        "[The lungs|Both lungs|The lungs|The lung fields] [are|are|are|appear] [[|grossly ]clear|clear bilaterally"
        "|clear without infiltrate|free of focal airspace disease].",
        "[Lungs [clear|grossly clear|clear bilaterally|are clear|appear clear]|Clear lungs|Clear lung fields].")),
    Normal("lungs", ("lung_volume",), 0.1, (
        "[The lungs are [well expanded|well inflated|normally inflated]|Lung volumes are [normal"
        "|within normal limits]|There is good inspiratory effort].",
        "[Normal lung volumes|Lungs well expanded|Good inspiration|Adequate inspiratory volumes]."),
        unless=("pneumothorax",)),
    Normal("lungs", ("consolidation", "pneumonia"), 0.12, (
        "There [is no [focal |confluent |]|are no areas of ][consolidation|airspace opacity] to suggest [an infection"
        "|acute pneumonia|pneumonia].",
        "No [focal |][consolidation|opacity] to suggest [infection|pneumonia|an infectious process]."),
        unless=("edema",)),
    Normal("heart", (), 0.03, ("There is no [evidence of |]pericardial effusion.", "No pericardial effusion.")),
    Normal("lungs", ("consolidation", "pneumonia", "atelectasis"), 0.05, (
        "There is no [abnormal |]retrocardiac [opacity|opacification].", "No [abnormal |]retrocardiac opacity.")),
    Normal("lungs", (), 0.06, (
        "There [is no evidence of [active |][tuberculosis|granulomatous disease]|are no changes of tuberculosis].",
        "No [evidence of |radiographic evidence of |active ]tuberculosis.")),
    Normal("pleura", ("pleural_effusion",), 0.1, (
        "[The [costophrenic angles|costophrenic sulci] are [sharp|clear|well defined|not blunted]"
        "|The pleural spaces are clear of fluid].",
        "[Sharp costophrenic angles|Costophrenic angles [sharp|clear]|Clear costophrenic sulci].")),
    Normal("pleura", ("elevated_diaphragm",), 0.06, (
        "[The hemidiaphragms|Both hemidiaphragms|The diaphragm] [are|are|appear] [at a normal level|symmetric in"
        " height].",
        "[Hemidiaphragms normal in position|Normal level of both hemidiaphragms].")),
    Normal("pleura", (), 0.05, (
        "There is no [apical |]pleural thickening.", "No [significant |biapical |apical ]pleural thickening.")),
    Normal("bones", ("scoliosis",), 0.3, (
        "[The |The visualized |Visualized ][osseous structures|bony structures|skeletal structures|bones of the thorax]"
        " [are|are|appear] [intact|unremarkable|within normal limits[| for the patient's age]|grossly intact].",
        "[Osseous structures|Bony structures|Visualized bony thorax|Bones] [intact|unremarkable|grossly intact"
        "|within normal limits|normal in appearance].")),
    Normal("bones", (), 0.55, (
        "[There [is|is] no [acute|displaced|suspicious] [bony|osseous|bone|skeletal] abnormality"
        "|No acute [bony|osseous] [abnormality|finding] is [seen|identified|demonstrated]"
        "|There is no [displaced |acute |obvious |][rib |clavicle |]fracture|The ribs [are|are|appear] intact].",
        "[No acute [bony|osseous|bone|skeletal] [abnormality|abnormalities|findings]|No [displaced |acute |healed |]rib"
        " [fracture|fractures|deformity|deformities]|Negative for acute bone abnormality|No acute fracture of the"
        " [|posterior |lateral ]ribs"
        "|Vertebral body heights preserved|Clavicles and ribs intact].")),
    Normal("bones", (), 0.1, (
        "The [visualized |surrounding |]soft tissues [are|are|appear] [normal|unremarkable|within normal limits].",
        "Soft tissues [normal|unremarkable|grossly normal].")),
    Normal("bones", ("gastric_gas",), 0.06, (
        "The [visualized |]upper abdomen [is|is|appears] [unremarkable|normal|within normal limits].",
        "[Unremarkable upper abdomen|Upper abdomen unremarkable|Normal upper abdominal bowel gas pattern].")),
    Normal("bones", (), 0.03, ("There is no hiatal hernia.", "No hiatal hernia[| seen].")),
    Normal("bones", (), 0.07, (
        "There is no [visible |][free air|free intraperitoneal air] [below|under|beneath] the [hemidiaphragms"
        "|diaphragm].",
        "No [free air|subdiaphragmatic free air|free intraperitoneal air].")),
    Normal("devices", ("foreign_object",), 0.04, (
        "There are no [support devices|lines or tubes|radiopaque foreign bodies].",
        "No [lines or tubes|support devices|radiopaque foreign body].")),
)  # fmt: skip
OTHERWISE: Pair = (
    "[The lungs [are|are|appear] otherwise clear|The remaining lungs are clear].",
    "[Lungs otherwise clear|Otherwise clear lungs|Remainder of the lungs clear].",
)

# attribute → value → words.
ATTRIBUTES: dict[str, tuple[str, dict[object, Pair]]] = {
    "rotated": ("technique", {
        -1: ("The patient is [rotated to the right|slightly rotated to the right].", "[Rightward|Right] rotation."),
        1: ("The patient is [rotated to the left|slightly rotated to the left].", "[Leftward|Left] rotation."),
    }),
    "lung_volume": ("lungs", {
        -1: (
            "[[Lung volumes are|The lung volumes are] [low|diminished]|The lungs are hypoinflated"
            "|There [is low inspiratory effort|are low lung volumes with bronchovascular crowding]].",
            "[Low lung volumes|Hypoinflation|Low lung volumes with [mild |]bronchovascular crowding|Shallow"
            " inspiration|Low volume study|Hypoinflated lungs].",
        ),
        1: (
            "[The lungs are [hyperinflated|hyperexpanded|hyperlucent and hyperexpanded]|There is [hyperinflation"
            "|hyperexpansion] of the lungs[| suggesting [COPD|emphysema|obstructive disease]]|There is flattening of"
            " the diaphragms[| compatible with hyperinflation]].",
            "[Hyperinflation|Hyperexpanded lungs|Hyperinflated lungs[| with flattened diaphragms|, possibly COPD"
            "|, possible emphysematous change]|Hyperexpansion[|, may represent COPD]].",
        ),
    }),
    "tortuous_aorta": ("heart", {True: (
        "[The [thoracic |]aorta is [tortuous|ectatic and tortuous|unfolded]|There is tortuosity of the [|thoracic"
        " |descending ]aorta].",
        "[Tortuous [thoracic |]aorta|Aortic tortuosity|Unfolded aorta|Ectasia and tortuosity of the aorta]."),
    }),
    "calcified_aorta": ("heart", {True: (
        "[There [is calcification|are calcifications|are atherosclerotic calcifications] of the [aortic arch"
        "|aorta|aortic knob]|The [aorta|aortic arch] is calcified].",
        "[Calcified [aortic arch|aortic knob|aorta]|Aortic [calcifications|atherosclerosis]|Atherosclerotic"
        " calcification of the [thoracic |]aorta]."),
    }),
    "prominent_hila": ("heart", {True: (
        "[The hila are [prominent|full|enlarged]|There is [bilateral |]hilar prominence].",
        "[Prominent hila|Hilar prominence[| bilaterally]|Fullness of the hila|Bilateral hilar prominence]."),
    }),
    "elevated_diaphragm": ("pleura", {
        -1: ("[The right hemidiaphragm is [elevated|mildly elevated]|There is elevation of the right hemidiaphragm].",
             "[Elevated right hemidiaphragm|Right hemidiaphragm elevation|Eventration of the right hemidiaphragm]."),
        1: ("[The left hemidiaphragm is [elevated|mildly elevated]|There is elevation of the left hemidiaphragm].",
            "[Elevated left hemidiaphragm|Left hemidiaphragm elevation|Eventration of the left hemidiaphragm]."),
    }),
    "scoliosis": ("bones", {
        -1: ("[There is [mild |][dextroscoliosis|dextrocurvature|rightward curvature] of the [thoracic |]spine"
             "|There is scoliosis convex to the right].",
             "[Dextroscoliosis|Thoracic dextroscoliosis|Dextroscoliosis of the [thoracic |thoracolumbar |]spine]."),
        1: ("[There is [mild |][levoscoliosis|levocurvature|leftward curvature] of the [thoracic |]spine"
             "|There is scoliosis convex to the left].",
            "[Levoscoliosis|Thoracic levoscoliosis|Levoscoliosis of the [thoracic |thoracolumbar |]spine]."),
    }),
    "gastric_gas": ("bones", {True: (
        "[The stomach is [distended|mildly distended] with [gas|air]|There is gaseous distention of the stomach].",
        "[Gas-distended stomach|Gaseous distention of the stomach|Prominent gastric air bubble]."),
    }),
}  # fmt: skip

VIEWS: dict[str, Pattern] = {  # by the study's views
    "PA": "[Single [frontal|PA] view of the chest|One frontal image of the chest was obtained].",
    "AP": "[AP portable view of the chest|Portable frontal radiograph[| was obtained]|Single portable chest x-ray].",
    "PA LATERAL": "[[PA|Frontal] and lateral [views|radiographs|images] of the chest[| were obtained| are submitted]"
    "|Two views of the chest|The examination consists of frontal and lateral projections].",
    "AP AP": "[Two portable views of the chest|2 portable images].",
}
COMPARED: Pattern = (
    "[Comparison [is|was] made to|Compared [to|with]] the"
    " [prior|previous] [study|examination|radiograph] [of|from] ___."
)
NO_CHANGE: Pattern = (
    "[No [significant |appreciable |][interval |]change|Stable exam"
    "|Overall, no significant change[| from [prior|previous]]]."
)
LIMITED: Pattern = (
    "[Evaluation|The exam|This study] is [somewhat |]limited by [the patient's body habitus|overlying soft tissue]."
)
NOT_ACUTE: Pattern = (
    "[No|No|No|No|No evidence of|No radiographic evidence of|Negative for] [acute|acute|acute|active]"
    " [|cardiopulmonary |cardiopulmonary |pulmonary |intrathoracic ][abnormality|abnormalities|process|disease|findings"
    "|finding|changes]."
)
NORMAL_CHEST: Pattern = (
    "[Normal|Unremarkable|Negative] [[chest|chest|chest x-ray|chest radiograph|chest film][| exam| study]"
    "|examination of the chest]."
)
OTHERWISE_NORMAL: Pattern = "[Otherwise [unremarkable|negative][| exam| chest]|No superimposed acute process]."
AS_ABOVE: Pattern = "[Findings as [described |detailed |]above|See [above|findings]|As above]."
ADVICE: tuple[Pattern, ...] = (
    "[Recommend [clinical |]correlation|Clinical correlation is [recommended|suggested|advised]|Correlate clinically].",
    "[Follow-up|Followup] [is recommended|chest radiograph may be helpful|imaging in [4|6] weeks is suggested].",
    "[CT [of the chest |]|Chest CT ]may be [helpful|obtained|considered] [for further evaluation|if indicated].",
    "[Findings were|These findings were|This was] discussed with Dr. ___ [|by telephone ]at [3:15|9:40] pm.",
)
AGED: Pattern = (  # of patients over 55
    "[[There are |][mild |minimal |multilevel |]degenerative changes [of|in|along|throughout] the [thoracic"
    " |mid thoracic |]spine|Mild [thoracic |]spondylosis[| is noted]|[Osteophytes|Endplate changes|Disc space"
    " narrowing and osteophytes] are noted in the"
    " [|lower thoracic ]spine|[Mild|Chronic] degenerative [change|disease] of the [thoracic |]spine|[Anterior |]spine"
    " osteophytes|Degenerative joint disease of the shoulders|Note is made of degenerative changes about the"
    " shoulder joint[|s]]."
)
LABELS = {
    "heart": "[Heart|Cardiac]",
    "lungs": "Lungs",
    "pleura": "Pleura",
    "bones": "[Bones|Osseous structures]",
}  # before a block
TYPOS = {
    "pneumothorax": "pnuemothorax",
    "consolidation": "consoldiation",
    "cardiopulmonary": "cardipulmonary",
    "cardiomediastinal": "cardiomedistinal",
    "silhouette": "silouette",
    "pleural": "plueral",
    "within": "withing",
    "limits": "limts",
    "normal": "nomral",
    "vasculature": "vasculture",
    "acute": "actue",
    "abnormality": "abnormalitiy",
    "unremarkable": "unremarkble",
    "there": "ther",
}
