"""How the result of one field looks, and what the browser does with it by itself, without a request."""

from __future__ import annotations

import numpy as np

from leuk_hf.visualization import colourise

_BAR = ", ".join(f"rgb{tuple(colour)}" for colour in colourise(np.linspace(0, 1, 17)[None])[0].tolist())

# The root of the component stays when its content is replaced; on it is kept what the visitor has set.
SCRIPT = """
const show = () => {
  for (const input of element.querySelectorAll("input[data-sets]")) {
    const value = input.type === "checkbox" ? Number(input.checked) : input.value / 100;
    element.style.setProperty("--leuk-" + input.dataset.sets, value);
  }
};
element.addEventListener("input", show);
// The line follows whoever draws over the picture; a finger that moves up or down scrolls the page as ever.
const draw = (event) => {
  const stage = event.buttons & 1 && event.target.closest(".leuk-stage");
  const split = stage && element.querySelector("input[data-sets=split]");
  if (!split) return;
  const box = stage.getBoundingClientRect();
  split.value = Math.round((100 * (event.clientX - box.left)) / box.width);
  show();
};
element.addEventListener("pointerdown", draw);
element.addEventListener("pointermove", draw);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-cell]");
  if (!button) return;
  const chosen = button.getAttribute("aria-pressed") === "true" ? null : button.dataset.cell;
  for (const each of element.querySelectorAll("[data-cell]")) {
    const is = each.dataset.cell === chosen;
    if (each.tagName === "BUTTON") each.setAttribute("aria-pressed", String(is));
    else each.classList.toggle("leuk-chosen", is);
  }
  if (chosen) element.querySelector(".leuk-stage").scrollIntoView({ block: "nearest" });
});
watch("value", show);
show();
"""
CSS = (
    """
.leuk-result {display: grid; grid-template-columns: minmax(0, 24rem) minmax(0, 1fr); gap: 0 1.5rem;
  grid-template-areas: "seen answer" "seen cells"; grid-template-rows: auto 1fr; align-items: start;
  color: var(--body-text-color); font-size: var(--text-sm); line-height: 1.4}
.leuk-answer {grid-area: answer}
.leuk-seen {grid-area: seen}
.leuk-cells {grid-area: cells}
.leuk-result p, .leuk-result ul, .leuk-result h3, .leuk-result h4 {margin: 0 0 .35em}
.leuk-result h3 {font-size: var(--text-xl); line-height: 1.25}
.leuk-result h4 {font-size: var(--text-md); margin-top: .5em}
.leuk-stage {position: relative; margin: 0 auto .4rem; overflow: hidden; border-radius: var(--radius-md);
  cursor: ew-resize; touch-action: pan-y; user-select: none; max-width: 100%;
  width: min(100%, calc(24rem * var(--leuk-ratio)))}
.leuk-stage > img {display: block; width: 100%; height: 100%; position: absolute; inset: 0; margin: 0}
.leuk-stage > img.leuk-heat {opacity: var(--leuk-opacity, .45);
  clip-path: inset(0 0 0 calc(100% * var(--leuk-split, 0)))}
.leuk-stage svg {position: absolute; inset: 0; width: 100%; height: 100%; opacity: var(--leuk-outlines, 1)}
.leuk-stage path {fill: none; stroke: #fff; stroke-width: 1.6; vector-effect: non-scaling-stroke}
.leuk-stage path.leuk-casing {stroke: #141414; stroke-width: 3.4}
.leuk-stage text {fill: #fff; stroke: #141414; stroke-width: .22em; paint-order: stroke; text-anchor: middle;
  dominant-baseline: central; font-weight: 700; font-family: var(--font)}
.leuk-stage .leuk-chosen path:not(.leuk-casing) {stroke: #ffd60a; stroke-width: 4}
.leuk-stage .leuk-chosen path.leuk-casing {stroke-width: 8}
.leuk-stage .leuk-chosen text {fill: #ffd60a}
.leuk-line {position: absolute; top: 0; bottom: 0; width: 2px; background: #fff; outline: 1px solid #141414;
  inset-inline-start: auto; left: calc(100% * var(--leuk-split, 0) - 1px); opacity: calc(100 * var(--leuk-split, 0))}
.leuk-settings label {display: block}
.leuk-settings .leuk-row {display: flex; gap: .75rem; align-items: end}
.leuk-settings .leuk-row > label:first-child {flex: 1}
.leuk-settings input[type=range] {width: 100%; margin: 0; accent-color: var(--color-accent); display: block}
.leuk-settings input[type=checkbox] {accent-color: var(--color-accent); margin-inline-end: .3em}
.leuk-bar {display: flex; gap: .5em; align-items: center; margin-top: .3em}
.leuk-bar div {flex: 1; height: .7em; border-radius: .35em; border: 1px solid var(--border-color-primary);
  background: linear-gradient(90deg, BAR)}
.leuk-note, .leuk-result figcaption {color: var(--body-text-color-subdued); font-size: var(--text-sm)}
.leuk-classes {list-style: none; padding: 0; display: grid; grid-template-columns: auto 1fr auto; gap: .15em .6em;
  align-items: center}
.leuk-classes li {display: contents}
.leuk-classes li.leuk-first {font-weight: 700}
.leuk-classes i {display: block; height: .6em; border-radius: .3em; background: var(--border-color-primary)}
.leuk-classes i b {display: block; height: 100%; border-radius: .3em; background: var(--color-accent)}
.leuk-refused .leuk-classes i b {background: var(--body-text-color-subdued)}
.leuk-warnings {border-inline-start: 4px solid var(--color-accent); padding: .3em .7em; margin: .4em 0;
  background: var(--background-fill-secondary)}
.leuk-warnings ul {margin: 0; padding-inline-start: 1.2em}
.leuk-crops {margin-bottom: .5rem; display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); gap: .35rem}
.leuk-crops button {margin: 0 !important; padding: 2px;
  border: 2px solid var(--border-color-primary); border-radius: var(--radius-md);
  background: var(--background-fill-primary); color: inherit; cursor: pointer; font-size: var(--text-xs);
  line-height: 1.25; text-align: center}
.leuk-crops button[aria-pressed=true] {border-color: var(--color-accent); box-shadow: 0 0 0 2px var(--color-accent)}
.leuk-crops img {display: block; width: 100%; aspect-ratio: 1; object-fit: cover; margin: 0;
  border-radius: var(--radius-sm)}
.leuk-inputs {display: flex; flex-wrap: wrap; gap: 1rem}
.leuk-inputs figure {margin: 0; width: 15rem; max-width: 100%}
.leuk-inputs img {width: 100%; margin: 0 0 .3em; border-radius: var(--radius-md)}
.leuk-empty {padding: 3rem 1rem; text-align: center; color: var(--body-text-color-subdued);
  border: 1px dashed var(--border-color-primary); border-radius: var(--radius-md)}
@media (max-width: 900px) {
  .leuk-result {grid-template-columns: minmax(0, 1fr); grid-template-areas: "answer" "seen" "cells"; row-gap: .75rem}
  .leuk-crops {grid-template-columns: repeat(4, minmax(0, 1fr))}
}
"""
).replace("BAR", _BAR)
