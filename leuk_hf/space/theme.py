"""How the page looks: one theme on Gradio's tokens, light and dark."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

# Eosin and azure, the two dyes of a Romanowsky stain. Fonts are the visitor's own: none is fetched from elsewhere.
_FONTS = [
    "ui-sans-serif",
    "system-ui",
    "Segoe UI",
    "Vazirmatn",
    "Noto Sans",
    "Noto Sans Arabic",
    "Tahoma",
    "sans-serif",
]
THEME = gr.themes.Base(
    primary_hue=colors.violet,
    secondary_hue=colors.pink,
    neutral_hue=colors.slate,
    radius_size=sizes.radius_md,
    spacing_size=sizes.spacing_md,
    text_size=sizes.text_md,
    font=_FONTS,
    font_mono=["ui-monospace", "Consolas", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    block_background_fill="white",
    block_background_fill_dark="*neutral_900",
    block_border_width="1px",
    block_label_background_fill="*neutral_100",
    block_label_background_fill_dark="*neutral_800",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_200",
    block_title_text_color="*neutral_800",
    block_title_text_color_dark="*neutral_100",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_300",
    link_text_color_visited="*primary_700",
    link_text_color_visited_dark="*primary_300",
    color_accent="*primary_600",
    slider_color="*primary_600",
    slider_color_dark="*primary_400",
)
CSS = """
/* Without a width of its own it grows to its tabs' names, on a phone too, and they never go into their menu. */
.gradio-container {width: 100%; min-width: 0; max-width: 1240px !important; margin: 0 auto}
.leuk-header {align-items: center; gap: var(--spacing-md); flex-wrap: nowrap}
.leuk-header .leuk-title {flex: 1 1 auto}
.leuk-title h1 {margin: 0}
.leuk-language {flex: 0 0 auto !important; min-width: 6em !important}
.block.leuk-notice {border-inline-start: 4px solid var(--color-accent) !important; padding: 0.3em 0.8em !important;
  background: var(--block-background-fill)}
.leuk-served, .leuk-served .html-container {font-size: var(--text-sm); color: var(--body-text-color-subdued);
  padding: 0 !important}
.leuk-served code {unicode-bidi: isolate}
:focus-visible {outline: 3px solid var(--color-accent) !important; outline-offset: 2px}
/* Gradio writes ltr into its texts whatever the page's direction is. */
[dir=rtl] .block, [dir=rtl] .prose:not(pre *), [dir=rtl] .html-container {direction: rtl; text-align: start}
[dir=rtl] [data-testid=block-label], [dir=rtl] [data-testid=block-info] {direction: rtl}
[dir=rtl] [data-testid=block-label] > span {margin: 0; margin-inline-end: var(--size-2)}
[dir=rtl] .wrap-inner .icon-wrap {right: auto; left: var(--size-5)}
/* A file's name keeps its own direction. */
[dir=rtl] .leuk-many td {unicode-bidi: plaintext}
[dir=rtl] .leuk-many td.filename {direction: ltr; text-align: end; justify-content: flex-end}
[dir=rtl] .leuk-many .icon-button-wrapper.top-panel {right: auto; left: var(--block-label-margin)}
[dir=rtl] .prose code, [dir=rtl] pre {direction: ltr; unicode-bidi: isolate}
[role=tab].selected {color: var(--primary-700) !important}
.dark [role=tab].selected {color: var(--primary-300) !important}
/* On a phone Gradio leaves one link there, and the dot before it. Its CSS cannot say so: in @media it looks for the
   footer inside of the page's content. */
.gradio-container footer .divider {display: none !important}
.gradio-container footer {column-gap: var(--size-6)}
"""
