"""Profiles: what they may say, and what is said when they ask for what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptc.runtime import profile as profiles
from ptc.runtime.artifacts import InputWrong, ResourceMissing
from ptc.runtime.profile import Profile, load_profile


def written(folder: Path, text: str) -> Path:
    path = folder / "place.toml"
    path.write_text(text)
    return path


def test_without_a_file_it_is_what_the_machine_has() -> None:
    profile = load_profile(None)
    assert profile.engine == "transformers"
    assert profile.threads == profiles.cores_here()


def test_settings(tmp_path: Path) -> None:
    text = 'engine = "vllm"\nprecision = "bfloat16"\nthreads = 1\nstore = "/somewhere/store"\ndevice = "cpu"\n'
    profile = load_profile(written(tmp_path, text))
    assert (profile.engine, profile.precision, profile.threads) == ("vllm", "bfloat16", 1)
    assert profile.store == Path("/somewhere/store")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('engin = "vllm"', "`engin` is no setting of a profile: did you mean `engine`?"),
        ('engine = "vlm"', "engine = 'vlm': input should be 'transformers', 'vllm' or 'fake'"),
        ("micro_batch = 0", "micro_batch = 0: input should be greater than 0"),
        ('micro_batch = "8"', "micro_batch = '8': input should be a valid integer"),
        ("engine =", "no valid TOML"),
    ],
)
def test_a_wrong_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputWrong) as refusal:
        load_profile(written(tmp_path, text))
    assert message in str(refusal.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputWrong) as refusal:
        load_profile(written(tmp_path, 'engin = "vllm"\nthreads = 0\n'))
    assert len(str(refusal.value).splitlines()) == 2


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputWrong, match=r"cannot be read \(No such file or directory\): name one that can"):
        load_profile(tmp_path / "none.toml")


def test_models_in_parts_need_several_devices(tmp_path: Path) -> None:
    with pytest.raises(InputWrong, match='sharding = "full" needs devices = 2 or more'):
        load_profile(written(tmp_path, 'device = "cpu"\nsharding = "full"\n'))
    path = written(tmp_path, 'device = "cpu"\ndevices = 2\nsharding = "full"\n')
    assert load_profile(path).sharding == "full"


def test_micro_batches_are_cut_in_one_way(tmp_path: Path) -> None:
    with pytest.raises(InputWrong, match="micro_batch and micro_batch_tokens are two ways to say one thing"):
        load_profile(written(tmp_path, "micro_batch = 2\nmicro_batch_tokens = 64\n"))


def test_gpus_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_gpus_installed", lambda: 1)
    path = written(tmp_path, 'device = "cuda"\ndevices = 8\n')
    with pytest.raises(ResourceMissing, match="asks for 8 CUDA devices; this machine has 1 CUDA device and"):
        load_profile(path)
    monkeypatch.setattr(profiles, "_gpus_installed", lambda: 0)
    with pytest.raises(ResourceMissing, match=r'has no CUDA device and .* CPU cores.*device = "cpu"'):
        load_profile(path)


def test_visible_devices_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_gpus_installed", lambda: 4)
    for visible, count in (("", 0), ("-1", 0), ("1,3", 2), ("0,1,2,3,4,5", 4)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert profiles.gpus_here() == count
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Profile().device == "cpu"
