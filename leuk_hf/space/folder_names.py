"""Sub-folders of a folder handed in: Gradio sends a file's name alone, so the page tells it a longer one.

Shared contract: before Gradio's own listener hears that a folder was chosen, each file is given the path that the
browser knows it by, as its name. Where that fails, names are short, and files of one name are numbered.
"""

from __future__ import annotations

HEAD = """<script>
document.addEventListener("change", (event) => {
  const input = event.target;
  if (input.type !== "file" || !input.webkitdirectory) return;
  for (const file of input.files) {
    const path = file.webkitRelativePath;
    if (path) Object.defineProperty(file, "name", { value: path, configurable: true });
  }
  window.leukFolder = [...input.files];  // a name given to a file goes with the object that nobody holds
}, true);
</script>"""
