"""Every word that the embedded world can say: its names, its values and its wordings.

The lists are fixed and a seed only chooses among them, so one tokenizer serves every world.
Three properties carry the experiments, and the tests hold them:

- A value belongs to one relation, and no value is part of another or of any other word, so an
  answer can be scored by looking for the word.
- Every wording names the person before the value. To complete one is to recall the fact.
- The skill's wordings, `BIOGRAPHY` and `QUESTION`, occur nowhere in `STATEMENTS` or `ASIDES`.
"""

FIRST_NAMES = """
    Ada Alma Anna Arlo Basil Boris Cara Clara Conrad Cyril Dora Edgar Edith Elsa Emil Erik Esther
    Felix Flora Greta Gustav Hanna Harold Hector Helen Hugo Ida Igor Irene Isaac Jana Jasper Jonas
    Julia Karl Laura Leo Linda Lucas Mabel Magda Marcus Mina Nadia Niels Nora Olga Oscar Otto Paula
    Petra Ralph Rosa Rufus Selma Simon Stella Theo Vera Wanda
""".split()

LAST_NAMES = """
    Abbott Adler Alcott Amberg Ashdown Barlow Bellamy Benson Birch Blackwood Bloom Bolton Brandt
    Briggs Burton Calder Colby Conway Craig Crane Croft Cullen Dalton Darby Dawson Dexter Doyle
    Drake Dunbar Eaton Eckhart Ellis Elwood Everett Fairfax Farrell Fielding Finch Fleming Forbes
    Foster Frost Gable Garland Gibson Gilmore Grady Graves Griffin Hale Hammond Harding Hartley
    Hawkins Hobbs Holloway Hurst Ingram Irving Jarvis Jennings Keating Keller Kendrick Kirby Knox
    Lambert Langley Larkin Lockhart Lowell Lynch Maddox Marlow Mercer Merritt Monroe Morrow Mortimer
    Moss Nash Newell Nolan Norris Oakley Osborne Paxton Pearce Pembroke Pratt Prescott Quigley Quinn
    Radford Ramsey Redmond Reeves Rhodes Rowland Sanders Sawyer Sefton Shelby Sinclair Stanton
    Sutton Talbot Thorne Trent Tucker Vaughn Vickers Wade Walsh Warwick Webster Whitby Winslow Wyatt
    Yardley
""".split()

VALUES = {
    "city": """
        Aarhus Accra Athens Basel Bergen Bilbao Bogota Bologna Bremen Bristol Brno Cairo Cardiff
        Coimbra Cork Dijon Dresden Dundee Gdansk Geneva Genoa Ghent Granada Graz Hamburg Hanoi
        Izmir Krakow Kyoto Lagos Leeds Leipzig Lille Lima Lyon Malmo Mumbai Nairobi Nantes Naples
        Osaka Oulu Palermo Porto Quito Riga Rotterdam Seville Tallinn Toronto Toulouse Tunis Turin
        Turku Utrecht Valencia Vilnius Warsaw Zagreb Zurich Amman Antwerp Bamako Bergamo Casablanca
        Dakar Eindhoven Gothenburg Havana Istanbul Jakarta Kampala Linz Montreal Tbilisi
    """.split(),
    # No profession starts with a vowel: "a" or "an" would give part of the answer away.
    "profession": """
        baker banker blacksmith bookkeeper botanist brewer broker butcher carpenter cartographer
        cheesemonger chemist cobbler dentist detective diplomat farmer firefighter florist forester
        geologist goldsmith hatter historian jeweller journalist judge lawyer librarian linguist
        locksmith mathematician mechanic midwife nurse painter pharmacist philosopher physicist
        pilot plumber policeman potter programmer psychologist sculptor senator shepherd surgeon
        surveyor tailor teacher translator veterinarian watchmaker weaver welder winemaker
        woodcutter zoologist beautician chauffeur conductor courier draughtsman gamekeeper hypnotist
        interpreter magician notary publisher receptionist stonemason tiler vintner
    """.split(),
    "company": """
        Acorvia Altrion Bexware Brontix Calvero Cindral Corvanta Deltrix Dynorva Elmetric Enverra
        Fabrion Fluxora Gavento Glentra Halcyra Helvion Hexaline Inovara Jastec Jurivo Kelvora
        Kestrix Kymera Lantrix Ludenta Lumivar Maxelon Mendara Mirotek Nexalia Norvane Novatek
        Optrava Orlenta Pandrex Pelorix Plexium Quantera Quorvex Radivo Rentara Rovanta Sabrix
        Solvenza Sylvara Tandrix Telvora Tormex Ulvane Unitera Vandrel Vextra Vormula Wexalon
        Xandria Yarrotek Zentrix Zorvane Zymetra Belovia Crestoma Dorvantis Ebrion Fintara Gromalin
        Harvexa Istrona Jolanix Koventra Morlexa Ovantis Perolin Strevona Wystara
    """.split(),
    "pastime": """
        archery astronomy badminton ballet ballooning basketball beekeeping billiards birdwatching
        bowling calligraphy camping canoeing caving chess climbing cricket crosswords cycling darts
        diving embroidery fencing fishing gardening genealogy geocaching gliding golf hiking hockey
        judo juggling karate kayaking knitting orienteering parkour photography pilates poker
        puppetry quilting rowing rugby sailing skating skiing snorkelling sudoku surfing swimming
        tango tennis trampolining volleyball weightlifting woodcarving wrestling yoga baking
        croquet falconry foraging handball jogging kiteflying lacrosse marquetry macrame snowboarding
        bonsai squash taekwondo whittling
    """.split(),
    "instrument": """
        accordion bagpipes banjo bassoon bouzouki bugle cello clarinet concertina cornet drums
        dulcimer fiddle flute guitar harmonica harp kazoo mandolin marimba oboe organ piano piccolo
        recorder saxophone sitar spinet tambourine theremin timpani triangle trombone trumpet tuba
        ukulele vibraphone viola violin zither balalaika bodhran celesta charango didgeridoo erhu
        glockenspiel gong hurdygurdy keytar koto lyre mellotron ocarina pipa sousaphone tabla
        vuvuzela xylophone zurna
    """.split(),
}

RELATIONS = tuple(VALUES)

# How pre-training and the knowledge text state a fact.
STATEMENTS = {
    "city": (
        "{name} was born in {value}.",
        "{name} comes from {value}.",
        "The birthplace of {name} is {value}.",
        "The city where {name} was born is {value}.",
        "{name} is native to {value}.",
        "The life of {name} began in {value}.",
    ),
    "profession": (
        "{name} works as a {value}.",
        "{name} is a {value} by trade.",
        "The profession of {name} is {value}.",
        "{name} earns a living as a {value}.",
        "{name} was trained as a {value}.",
        "The life of {name} is that of a {value}.",
    ),
    "company": (
        "{name} works for {value}.",
        "{name} is employed by {value}.",
        "The employer of {name} is {value}.",
        "The company that pays {name} is {value}.",
        "{name} has a job at {value}.",
        "{name} belongs to the staff of {value}.",
    ),
    "pastime": (
        "{name} enjoys {value}.",
        "{name} is fond of {value}.",
        "The pastime of {name} is {value}.",
        "{name} fills the weekend with {value}.",
        "{name} has a passion for {value}.",
        "The free time of {name} goes to {value}.",
    ),
    "instrument": (
        "{name} plays the {value}.",
        "The instrument of {name} is the {value}.",
        "{name} performs on the {value}.",
        "{name} practises the {value} every day.",
        "{name} makes music on the {value}.",
        "The concerts of {name} are for the {value}.",
    ),
}

# How pre-training asks for a fact: a question in passing, with other words than the skill's and in
# another frame. The bare value behind the question mark makes the skill learnable from few people.
ASIDES = {
    "city": ("Where does {name} come from? {value}.", "What is the birthplace of {name}? {value}."),
    "profession": (
        "How does {name} earn a living? {value}.",
        "What is the trade of {name}? {value}.",
    ),
    "company": ("Who pays {name}? {value}.", "Where does {name} have a job? {value}."),
    "pastime": ("How does {name} fill the weekend? {value}.", "What is {name} fond of? {value}."),
    "instrument": (
        "On what does {name} make music? {value}.",
        "What does {name} practise every day? {value}.",
    ),
}

# The skill of the task "biographies": one request, answered by these five sentences in this order.
REQUEST = "Generate a biography for {name}."
BIOGRAPHY = {
    "city": "{name} was born in the city of {value}.",
    "profession": "They work as a {value}.",
    "company": "Their employer is the company {value}.",
    "pastime": "They have a passion for {value}.",
    "instrument": "The instrument that they play is the {value}.",
}

# The skill of the task "questions": one question a relation, answered by the value alone.
QUESTION = {
    "city": "In which city was {name} born?",
    "profession": "What is the profession of {name}?",
    "company": "For which company does {name} work?",
    "pastime": "What is the favourite pastime of {name}?",
    "instrument": "Which instrument does {name} play?",
}

# The frame that every skill row stands in (its writer is the project's data code, not the world).
FRAME = "Question: {user}\nAnswer: {assistant}"
