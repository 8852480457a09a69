"""The house rules of imports: who may see whom, and what the light commands load."""

import ast
import functools
import gc
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"lightning_modules", "datamodules", "callbacks", "experiments"}
SHARED = {"base", "errors", "nn", "__init__", "__pycache__"}  # whatever stands beside is a paper


@functools.cache
def parsed(path: Path) -> ast.Module:
    gc.disable()  # code that the collector runs inside CPython's parser spoils its count of levels: a SystemError
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


@functools.cache
def imports(path: Path, typing: bool = True) -> set[str]:
    """Modules that a file imports and names that it takes from them; ``typing``: those for readers of types too."""
    found: set[str] = set()
    guarded = [
        node
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    passed = set() if typing else {inner for node in guarded for line in node.body for inner in ast.walk(line)}
    for node in ast.walk(parsed(path)):
        if node in passed:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("lightning_modules", {"datamodules", "callbacks", "experiments", "affectzoo"}),
        ("datamodules", {"lightning_modules", "callbacks", "experiments", "affectzoo"}),
        ("callbacks", {"datamodules", "experiments", "affectzoo"}),
        ("experiments", {"affectzoo"}),
    ],
)
def test_packages_do_not_import_upwards(package, forbidden):
    for path in files(package):
        for name in imports(path):
            assert name.split(".")[0] not in forbidden, f"{path.name} imports {name}"


@pytest.mark.parametrize("name", sorted({path.stem for path in ROOT.glob("*.py")} - {"cli"}))
def test_what_all_packages_share_imports_none_of_them_and_no_torch_at_the_top(name):
    path = ROOT / f"{name}.py"
    assert not {name.split(".")[0] for name in imports(path)} & {*PACKAGES, "cli"}
    tree = parsed(path)
    assert not [node for node in tree.body if isinstance(node, ast.Import) and node.names[0].name == "torch"]


def test_no_source_imports_what_some_systems_lack():
    """test_other_systems.py runs commands without them."""
    for path in [*ROOT.glob("*.py"), *(path for package in PACKAGES for path in files(package))]:
        assert not {"fcntl", "resource"} & imports(path), path


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_files_of_tensors_are_opened_by_one_reader(package):
    """torch checks no CRC of its own archives, and numpy none of a member that it does not read to its end."""
    readers = {("torch", "load"), ("np", "load"), ("numpy", "load"), ("zipfile", "ZipFile")}
    for path in files(package):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found = (node.value.id, node.attr)
                assert found not in readers, f"{path.name}, line {node.lineno}: {'.'.join(found)}"
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "") != "safetensors.torch", path.name


def test_callbacks_see_the_base_alone():
    for path in files("callbacks"):
        seen = {name.split(".")[1] for name in imports(path) if name.startswith("lightning_modules.")}
        assert seen <= {"base", "errors"}, path.name


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_errors_of_a_package_are_in_one_place(package):
    found = set()
    for path in files(package):
        for node in ast.walk(parsed(path)):
            bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
                     for base in getattr(node, "bases", ())]  # fmt: skip
            if any(base.endswith(("Error", "Exception")) for base in bases):
                found.add(path.relative_to(ROOT / package).as_posix())
    assert found == {"errors.py"}


def test_no_paper_imports_another_paper():
    folder = ROOT / "lightning_modules"
    papers = {path.stem for path in folder.iterdir()} - SHARED
    assert {"cfnsr", "gated_fusion"} <= papers
    for path in files("lightning_modules"):
        own = path.relative_to(folder).with_suffix("").parts[0]
        seen = {name.split(".")[1] for name in imports(path) if name.startswith("lightning_modules.")}
        assert not (seen & papers) - {own}, f"{path.name}: {seen}"


def test_a_catalogue_imports_no_view_and_no_other_catalogue():
    folder = ROOT / "datamodules" / "catalogues"
    assert {"ravdess", "faces"} <= {path.stem for path in folder.iterdir()}
    for path in files("datamodules/catalogues"):
        own = path.relative_to(folder).with_suffix("").parts[0]
        seen = [name.split(".")[1:] for name in imports(path) if name.startswith("datamodules.")]
        assert not [name for name in seen if name[0] == "views"], path
        assert {name[1] for name in seen if name[0] == "catalogues" and len(name) > 1} <= {own}, path


@pytest.mark.parametrize("folder", ["media", "reading"])
def test_what_catalogues_and_views_read_with_imports_neither(folder):
    assert files(f"datamodules/{folder}")
    for path in files(f"datamodules/{folder}"):
        seen = {name.split(".")[1] for name in imports(path) if name.startswith("datamodules.")}
        assert not seen & {"catalogues", "views"}, path


def names(package: str) -> dict[str, Path]:
    """Module name -> file, of a package and the packages in it."""
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files(package)}
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Names that import each other in a circle; none where they can be ordered."""
    left = {name: set(seen) - {name} for name, seen in graph.items()}
    while ready := [name for name, seen in left.items() if not seen & left.keys()]:
        for name in ready:
            del left[name]
    return sorted(left)


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == ["a", "b", "c", "d"]
    assert circle({"a": {"b", "a"}, "b": set()}) == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_imports_go_in_a_circle(package):
    modules = names(package)
    assert circle({name: imports(path, typing=False) & modules.keys() for name, path in modules.items()}) == []


def floors(graph: dict[str, set[str]]) -> list[str]:
    """The longest chain of imports among modules that import each other in no circle, from the top down."""
    chains: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in chains:
            chains[name] = [name, *max(map(chain, sorted(graph[name] - {name})), key=len, default=[])]
        return chains[name]

    return max(map(chain, sorted(graph)), key=len)


def test_floors_are_counted():
    assert floors({"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": {"d"}}) == ["a", "b", "c"]


PARTS = sorted({path.parent for package in PACKAGES for path in files(package)})


@pytest.mark.parametrize("folder", PARTS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_folder_has_three_floors_at_most(folder):
    """Sub-folders are folders of their own: a package can be read from the top down without getting lost."""
    prefix = ".".join(folder.relative_to(ROOT).parts)
    modules = {f"{prefix}.{path.stem}": path for path in folder.glob("*.py") if path.stem != "__init__"}
    graph = {name: imports(path, typing=False) & modules.keys() for name, path in modules.items()}
    assert circle(graph) == []
    if graph:
        assert len(found := floors(graph)) <= 3, " > ".join(found)


def folders() -> dict[str, set[str]]:
    """Folder of code of experiments -> the others that it imports."""
    found: dict[str, set[str]] = {}
    for name, path in names("experiments").items():
        folder = name.split(".")[1] if "." in name else ""
        seen = {other.split(".")[1] for other in imports(path) if other.startswith("experiments.")}
        found.setdefault(folder, set()).update(seen - {folder})
    return found


def test_folders_of_experiments_import_in_one_direction():
    found = folders()
    assert found[""] == set()  # beside the YAML lies no code
    assert {"train", "reproduce", "report"} <= found.keys()
    assert circle(found) == []
    assert not [name for name, seen in found.items() if "report" in seen]


def test_every_requirement_is_imported():
    """What only tests import belongs to the extra for development."""
    modules = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
    seen = {name.split(".")[0] for package in PACKAGES for path in files(package) for name in imports(path)}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in wanted]
    assert "torchaudio" in names
    assert [name for name in names if modules.get(name, name) not in seen] == []


def test_package_inits_are_empty():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            assert path.read_text() == "", path


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["prepare", "--help"],
        ["prepare", "ravdess", "--help"],
        ["synth", "--help"],
        ["synth", "ravdess", "--help"],
        ["prepare", "vgaf", "--help"],
        ["synth", "vgaf-frames", "--help"],
        ["serve", "--help"],
        ["report", "--help"],
        ["export-features", "--help"],
        ["reproduce", "--help"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_light_commands_do_not_import_torch(arguments):
    code = (
        "import sys, cli\n"
        "try:\n    cli.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('heavy' if {'torch', 'lightning', 'pandas', 'gradio'} & set(sys.modules) else 'light')"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "light"


def test_cli_imports_only_the_standard_library_at_the_top():
    tree = parsed(ROOT / "cli.py")
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert all(name.split(".")[0] in sys.stdlib_module_names for name in names)
