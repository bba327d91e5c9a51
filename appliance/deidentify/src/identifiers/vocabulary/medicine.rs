//! Words of departments, procedures, techniques and anatomy: what institutions call their units, and what descriptions consist
//! of. A department called Vascular Laboratory must not take the word from every description; hardly anyone has such a name.

/// Folded words of four letters and more, in lines of a subject each.
pub(super) const WORDS: &str = "
acute admission adolescent ambulatory anaesthesia anesthesia angiography angio assessment biopsy bronchoscopy
cardiology cardiothoracic cardiovascular catheter catheterisation catheterization cath chirurgie colonoscopy colposcopy
consultant coronary critical daily dental dermatology diagnostic diagnostics diagnostik dialysis doppler echocardiogram
echocardiography echokardiographie elective endocrinology endoscopy epilepsy examination fertility fetalmedicine fluoroscopy
gastroenterology geriatric gynaecology gynecology gynakologie haematology hematology hepatology histology imagerie innere
intensive intervention interventional investigation kardiologie kinderklinik labor labour laparoscopy mammogram mammography
mammographie medecine medicine medizin midwifery mobile neonatal neonatology nephrology neurologie neurology neuroradiology
neuroradiologie neurosurgery nuclear nuklearmedizin obstetric observation oncology operating ophthalmology orthopaedic
orthopaedics orthopedic orthopedics outpatients paediatric paediatrics pathology patients pediatric pediatrics perinatal
physics physiology portable prenatal procedure procedures psychiatry pulmonary radiographer radiographers radiography radiologie
radiological radiologist radiologists radiotherapy rehabilitation resuscitation respiratory rheumatology screening
sonographer sonographers sonography stroke suite surgical symptomatic technologist technician telemetry theatre theatres
thoracic trainee transfer transplant triage ultraschall urology vascular walk workstation xray
abdominal abdo achilles acetabulum adenoid adnexa adrenal adrenals airway airways alveolar anal anastomosis aneurysm ankles
anterior antrum anus aortic appendix arachnoid arterial arteries articular ascending atrial atrium auditory auricular axilla
axillary basal basilar biliary bilateral bladder brachial bronchial bronchus buttock caecum calcaneum calcaneus calcium
calf canal capsule carotid carotids carpal cartilage caudal cavity cecum celiac cerebellum cerebral cervical cervix
clavicle coccyx cochlea collar collateral coronaries cortex costal cranial cranium cruciate cubital deltoid dentition
descending diaphragm digit digits disc discs distal dorsal duct ducts duodenum duplex elbows endometrium epididymis
epigastric ethmoid extremity extremities facial facet fallopian femoral femur femurs fibula finger fingers follicle forearm
forefoot frontal gallbladder gastric genital gland glands glenoid gluteal gonadal groin hamstring hands heels hepatic
hernia hilar hilum hindfoot hippocampus humeral humerus iliac ileum ilium inferior inguinal internal intestine intracranial
ischium jejunum joints jugular kidneys knees labrum lacrimal larynx ligament ligaments lobe lumbar lumbosacral lymph
malleolus mandible manubrium mastoid mastoids maxilla maxillary mediastinum meniscus menisci mesenteric metacarpal
metatarsal midfoot mitral muscle muscles myocardial myocardium nasal nasopharynx navicular nerves neural nuchal occipital
oesophagus esophagus olecranon optic orbital orbits organ ossicles ovarian ovaries ovary palate pancreas pancreatic parathyroid
parietal parotid patella patellae pectoral pedicle pelvic penile penis pericardium perineum peripheral peritoneum petrous phalanx
pharynx pituitary placenta plantar pleura pleural plexus popliteal posterior prostate proximal pubis pulmonic quadriceps
radial radius rectal rectum renal retina retroperitoneum ribs rotator sacral sacroiliac sacrum salivary scalp scaphoid scapula
sciatic sclera scrotal scrotum seminal septal septum sinus sinuses skeletal skeleton soleus sphenoid spinal spleen splenic
sternum stomach subclavian submandibular superior supraspinatus systemic tarsal temporal temporomandibular tendon tendons
testes testicle testicles testicular testis thenar thigh thighs throat thumb thymus thyroid tibia tibial tibiofibular toes
tongue tonsil tooth teeth trachea tracheal transverse transversal tricuspid trochanter trunk tube turbinate ulna ulnar umbilical
umbilicus upperlimb ureter ureters urethra urinary uterine uterus vagina vaginal vas vasculature veins vena ventral
ventricle ventricles ventricular vertebra vertebrae vertebral vestibular vocal vulva whole wrists
abscess additional after anomaly apical arrhythmia artefact artifact atrophy attenuation average baseline before biometry
biparietal bleed bleeding bleedings blood bolustracking breath breathhold calcification calculi calculus cancer carcinoma
chemo chronic cine cirrhosis coiling collection comparison complete complex compression congenital contour contraction contrast
control corrected cortical cyst cysts decubitus defect delayed deformity dependent detail determination diastole
diastolic differential dilatation dilated discrete disease dislocation dissection dressing drainage dynamics edema effusion
ejection elastography embolism embolus emergency endoleak enhancement equilibrium erect evaluation expiration expiratory extended
extension extraction fistula fixation flexion fluid follicles followup foreign fracture fractures free functional fusion
gadolinium gated gestation gestational graft grafting growth guidance guided haemorrhage hemorrhage hardware harmonic hydronephrosis
implant implants infarct infarction infection inflammation injection injury inspiration inspiratory instability intravenous
inversion ischaemia ischemia kinetic lesion lesions limited localiser localizer loop lumbarpuncture magnetic mapping masses
measurement measurements metastases metastasis metastatic microbubble monitoring morphology multiphase multiple needle nodule nodules
nonenhanced obstruction occlusion oedema opacity osteoporosis overview parallel parametric patency pathological perfusion
planning plaque pleuraleffusion pneumonia pneumothorax position postoperative postcontrast posterioranterior precontrast
pregnancy preop preoperative progress projectional prosthesis quantitative radiation reconstruction recon reduction reflux
reformat reformatted region regions regurgitation relaxation repeat residual resolution resonance respiration
resting restaging review rotation rupture saturation scanogram scanning sclerosis sedation segment segmental segmentation
selective sequence sequential severe shunt soft specimen spectroscopy spectral staging standing stenosis stenoses stent stents
strain subtracted subtraction suppressed suppression survey swallow swallowing symptoms systole systolic tear tears technique
tension thickness thrombosis thrombus tomography tomosynthesis tracer transabdominal transthoracic transoesophageal
transesophageal transvaginal trimester tumor tumour unenhanced unilateral upright urgent vasospasm velocity ventilation
venography viability views weighted wound
abdomen arteria bauch becken beine blase brust darm foie fuss galle gefasse gehirn genou hals haut herz hirn hufte knie knochen
kopf leber lunge magen mamma milz nieren niere oberbauch poumon rachis rein schadel schilddruse schulter thorax unterbauch
wirbelsaule cabeza cerebro columna corazon cuello higado mama pecho pelvis rodilla torax addome cervello cuore ginocchio torace
accelerated adaptive array bandwidth cardiogram channel coefficient computed concatenation cubic diffusionweighted digital dixon
echoplanar fatsat fieldmap gradient isotropic interleaved iterative kernel magnitude modality motioncorrected multiband
multiplanar multislice navigator parallelimaging plain propeller prospective quantification radiograph readout reformation
retrospective scanner sense shimming single slab space spoiled station steady structural susceptibility tensor threshold
tractography trigger triggered turbo uniform velocityencoded volumetric volumetry weighting
";
