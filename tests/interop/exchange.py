"""The Python side of check_exchange.sh: exchange.py VERB FOLDER."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

verb, folder = sys.argv[1], Path(sys.argv[2])
root = Path(os.environ["IL_ROOT"])
fixtures = root / "tests/fixtures/exchange"


def detector(*words):
    return subprocess.run(
        [os.environ["INTERLOOP"], "detector", *map(str, words)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def near(name, got, want):
    largest = float(np.abs(want).max())
    assert np.abs(got - want).max() <= 1e-5 * largest, name


def sae_lens():
    """In from each folder that SAELens made, out again, and loaded by SAELens."""
    import torch
    from safetensors.torch import load_file

    from sae_lens import SAE

    for path in sorted((fixtures / "sae_lens").iterdir()):
        ours = folder / "ours" / path.name
        ours.parent.mkdir(exist_ok=True)
        detector("import", path, "--out", f"{ours}.safetensors")
        detector("export", f"{ours}.safetensors", "--to", "saelens", ours)
        sae = SAE.load_from_disk(ours)
        expected = load_file(path / "expected.safetensors")
        with torch.no_grad():
            features = sae.encode(expected["x"])
            near(path.name, features.numpy(), expected["features"].numpy())
            near(path.name, sae.decode(features).numpy(), expected["output"].numpy())
        assert sae.cfg.metadata.hook_name == "blocks.1.hook_resid_post", path.name
        assert sae.cfg.metadata.model_name == "tiny", path.name


def directions():
    """A probe and a control vector, out to each format that a library reads."""
    import gguf
    from safetensors.numpy import load_file

    probe = folder / "probe.safetensors"
    detector("import", fixtures / "probe_scaled.npz", "--site", "blocks.3.hook_mlp_out", "--out", probe)
    stored = np.load(fixtures / "probe_scaled.npz")
    written = {}
    for to, read in (("npz", np.load), ("safetensors", load_file)):
        detector("export", probe, "--to", to, folder / f"again.{to}")
        written = read(folder / f"again.{to}")
        assert written["coef"].shape == stored["coef"].shape, to
        near(to, stored["activations"] @ written["coef"][0] + written["intercept"], stored["scores"])

    detector("export", probe, "--to", "gguf", folder / "probe.gguf")
    reader = gguf.GGUFReader(folder / "probe.gguf")
    assert [t.name for t in reader.tensors] == ["direction.3"]
    near("gguf", np.array(reader.tensors[0].data), np.asarray(written["coef"])[0])
    field = reader.get_field("general.architecture")
    assert bytes(field.parts[field.data[0]]) == b"controlvector"


def dictionary_learning():
    """Each class of dictionary saved, converted, imported with rows, and loaded by SAELens."""
    import torch
    from dictionary_learning import dictionary as plain
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    from sae_lens import SAE

    width, features, k = 8, 20, 4
    torch.manual_seed(3)
    x = torch.randn(12, width) * 2 + 0.5
    made = {
        "AutoEncoder": plain.AutoEncoder(width, features),
        "AutoEncoderNew": plain.AutoEncoderNew(width, features),
        "GatedAutoEncoder": plain.GatedAutoEncoder(width, features),
        "JumpReluAutoEncoder": plain.JumpReluAutoEncoder(width, features),
        "AutoEncoderTopK": AutoEncoderTopK(width, features, k),
        "BatchTopKSAE": BatchTopKSAE(width, features, k),
        "MatryoshkaBatchTopKSAE": MatryoshkaBatchTopKSAE(width, features, k, [5, 15]),
    }
    for name, sae in made.items():
        path, out = folder / "learned" / name, folder / "converted" / name
        path.mkdir(parents=True)
        with torch.no_grad():
            for parameter in sae.parameters():
                parameter.copy_(torch.randn(parameter.shape) * 0.4)
            if hasattr(sae, "threshold"):
                sae.threshold.copy_(torch.full(sae.threshold.shape, 0.3))
            torch.save(sae.state_dict(), path / "ae.pt")
            config = {"trainer": {"dict_class": name, "k": k, "layer": 4, "lm_name": "tiny"}, "buffer": {}}
            (path / "config.json").write_text(json.dumps(config))
            want = sae.encode(x)
            output = sae.decode(want)
        subprocess.run(
            [sys.executable, root / "tools/convert/dictionary_learning.py", path, out], check=True
        )
        np.save(folder / "x.npy", x.numpy())
        for kind, rows in (("features", want), ("output", output)):
            np.save(folder / f"{kind}.npy", rows.numpy())
            said = detector(
                "import", out, "--out", folder / "learned.safetensors", "--tolerance", "1e-5",
                "--verify", folder / "x.npy", "--expect", folder / f"{kind}.npy",
            )
            assert "verified: " in said and "blocks.4.hook_resid_post" in said, (name, said)
        with torch.no_grad():
            near(name, SAE.load_from_disk(out).encode(x).numpy(), want.numpy())


{"sae_lens": sae_lens, "directions": directions, "dictionary_learning": dictionary_learning}[verb]()
