"""The measures of a usual field, and of fields that differ from it, for tests of the checks."""

import dataclasses

from leuk_hf.input_measures import FieldMeasures

USUAL = FieldMeasures(
    side=224,
    elongation=1.0,
    frame_share=0.0,
    light=250.0,
    washed_out=0.2,
    burnt_out=0.0,
    contrast=30.0,
    sharpness=0.5,
    correlation_length=0.05,
    leukocyte_share=0.1,
    num_leukocytes=5,
    leukocyte_diameter=0.09,
    cell_size=0.06,
    leukocyte_texture=3.0,
    in_distribution_score=-1.0,
)


def changed(**values):
    return dataclasses.replace(USUAL, **values)
