"""Draw the picture of the README: the breast-cancer case with the defaults of the command line."""

from pathlib import Path

import fokkerplanck as fp

if __name__ == "__main__":
    analysis = fp.analyse(fp.cases.get("breast-cancer")).simulated(rng=7)
    target = Path(__file__).parent / "_static" / "breast-cancer.png"
    analysis.figure().savefig(target, dpi=80, pil_kwargs={"optimize": True})
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")
