"""The seed of a survey's sample, toys and fit. Apart, since the rules ask for it while they are read."""


def survey_seed(survey_no: int, seed: int) -> int:
    """Seed of a survey from that of the models: its own, and the same in every run."""
    return 1000 * survey_no + seed
