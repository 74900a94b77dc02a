"""What the site adds to mkdocs: files outside docs/ that pages link to, notebooks as pages."""

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")  # in a page of docs/ itself


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Take along the files of the repository that pages link to."""
    pages = [page for page in files.documentation_pages() if "/" not in page.src_uri]
    for name in {name for page in pages for name in _OUTSIDE.findall(page.content_string)}:
        path = Path(config.docs_dir).parent / name
        if path.is_file() and path.suffix == ".ipynb":
            content = _page_of_notebook(json.loads(path.read_text()))
            files.append(File.generated(config, _place(name), content=content))
        elif path.is_file():
            files.append(File.generated(config, _place(name), abs_src_path=str(path)))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead links to these files to their places on the site; give the front page the whole width."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    if "/" in page.file.src_uri:
        return markdown
    return _OUTSIDE.sub(lambda link: f"]({_place(link[1])}", markdown)


def _place(name: str) -> str:
    return re.sub(r"\.ipynb$", ".md", name)


def _page_of_notebook(notebook: dict) -> str:
    """Markdown of a notebook with its stored outputs."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../docs/", "](../"))
            continue
        language = "bash" if source.startswith("%%bash") else "python"
        parts.append(f"```{language}\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text")})
            for kind in data.keys() & {"image/png", "image/jpeg"}:
                parts.append(f'<img alt="output of the cell" src="data:{kind};base64,{data[kind].strip()}">')
                break
            else:
                parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    return "\n\n".join(parts)
