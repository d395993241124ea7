"""Fitted limits by value: what they refuse of the fields they are fitted to, and which fields set which limit."""

import numpy as np
import pytest
from usual_field import USUAL, changed

from leuk_hf.field_checks import refused_share
from leuk_hf.limit_fitting import fit_limits


def random_fields(seed, count):
    generator = np.random.default_rng(seed)
    return [
        changed(
            light=float(generator.normal(250, 2)),
            sharpness=float(generator.normal(0.5, 0.05)),
            leukocyte_diameter=float(generator.normal(0.09, 0.01)),
            in_distribution_score=float(-generator.gamma(20, 0.05)),
        )
        for _ in range(count)
    ]


def test_fitted_limits_refuse_no_more_than_asked():
    training, calibration = random_fields(0, 1000), random_fields(1, 200)
    limits = fit_limits(training, calibration, 0.02)
    assert 0.01 <= refused_share(calibration, limits) <= 0.02
    assert refused_share(random_fields(2, 1000), limits) < 0.045
    scores = sorted(each.in_distribution_score for each in calibration)
    assert limits.lowest_in_distribution_score == pytest.approx((scores[3] + scores[4]) / 2)  # four of 200 below it
    kept = sorted(each.light for each in (*training, *calibration))[1]  # a thousandth of 1200, rounded down
    assert limits.lowest_light == pytest.approx(0.5 * kept)
    assert limits.largest_elongation == 1.6 and limits.smallest_side == 64
    assert limits.highest_frame_share == 0.1  # none has a frame


def test_the_limit_of_leukocytes_is_what_all_but_three_thousandths_show():
    training = [changed(leukocyte_share=0.01 + 0.0001 * number) for number in range(1000)]
    limits = fit_limits(training, [changed(leukocyte_share=0.5)] * 200, 0.02)
    assert limits.lowest_leukocyte_share == pytest.approx(0.01 + 0.0001 * 3)  # 3 of 1200 below it, and no tolerance


def test_limits_of_size_are_what_all_but_five_thousandths_keep():
    training = [changed(cell_size=0.04 + 0.00002 * number) for number in range(1000)]
    limits = fit_limits(training, [USUAL] * 200, 0.02)
    assert limits.lowest_cell_size == pytest.approx(0.04 + 0.00002 * 6)  # 6 of 1200 beyond it
    assert limits.highest_cell_size == pytest.approx(0.06)  # that of the 200, above which there is none
    assert limits.smallest_side == 64
    assert fit_limits([changed(side=48)], [USUAL]).smallest_side == 48  # what it learns from is not refused


def test_copies_in_another_light_set_the_limits_of_size_texture_and_score_alone():
    fields = [USUAL] * 100
    smaller = [
        changed(cell_size=0.03, light=10.0, leukocyte_texture=2.0, in_distribution_score=-50.0 - number)
        for number in range(100)
    ]
    alone, limits = fit_limits(fields, fields, 0.02), fit_limits(fields, fields, 0.02, relit=(smaller, smaller))
    assert alone.lowest_cell_size == USUAL.cell_size and limits.lowest_cell_size == 0.03
    assert limits.highest_cell_size == alone.highest_cell_size == USUAL.cell_size
    assert limits.lowest_light == alone.lowest_light
    assert alone.lowest_leukocyte_texture == pytest.approx(0.85 * USUAL.leukocyte_texture)
    assert limits.lowest_leukocyte_texture == pytest.approx(0.85 * 2.0)
    # 4 of the 200 of the calibration part lie below it.
    assert limits.lowest_in_distribution_score == pytest.approx(-145.5)
    few = fit_limits(fields, fields[:1], 0.02, relit=((), smaller[:1]))  # none can be spared
    assert few.lowest_in_distribution_score == pytest.approx(-50.25)


def test_unknown_measures_get_no_limit():
    names = ("leukocyte_share", "num_leukocytes", "leukocyte_diameter", "cell_size", "leukocyte_texture")
    fields = [changed(**dict.fromkeys(names))] * 3
    limits = fit_limits(fields, fields)
    assert limits.lowest_leukocyte_share is None and limits.highest_cell_size is None
    assert limits.lowest_leukocyte_texture is None
    assert limits.lowest_light == 125


def test_limits_need_fields():
    with pytest.raises(ValueError, match="no training or no calibration fields"):
        fit_limits([], [USUAL])
    with pytest.raises(ValueError, match=r"share is 0\.7"):
        fit_limits([USUAL], [USUAL], 0.7)
