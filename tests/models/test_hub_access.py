"""Hubs that give no answer: a server that accepts connections and stays silent."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from kinema.errors import CheckpointError, DownloadError
from kinema.models import hub_access
from kinema.models.backbone import BackboneSource
from kinema.models.hub_access import cached_if_silent, silence
from kinema.models.hub_source import HubSource

constants = pytest.importorskip("huggingface_hub.constants")


@pytest.fixture
def hanging(monkeypatch, tmp_path) -> Iterator[str]:
    """The address of a hub that accepts connections and says nothing; the cache is empty."""
    monkeypatch.setattr(hub_access, "ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield address


def test_a_silent_server_and_none_at_all_are_reasons_and_an_error_page_is_an_answer(hanging):
    assert "answer" in silence(hanging) or "timed out" in silence(hanging)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "refused" in silence(f"http://127.0.0.1:{port}")
    assert silence("nonsense")
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:  # knows no HEAD: 501
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert silence(f"http://127.0.0.1:{server.server_port}") == ""


def test_only_cached_files_are_used_while_the_hub_is_silent(hanging, monkeypatch):
    with cached_if_silent() as reason:
        assert hanging in reason
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
    monkeypatch.setattr(hub_access, "silence", lambda url: "")
    with cached_if_silent() as reason:
        assert (reason, constants.HF_HUB_OFFLINE) == ("", False)


def test_a_backbone_says_flag_folder_and_reason_in_time(hanging, tmp_path):
    started = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        BackboneSource("resnet18", pretrained=True).open((64, 64))
    assert time.monotonic() - started < 10
    assert all(words in str(caught.value) for words in ("--pretrained", "--backbone-weights", str(tmp_path), hanging))


def test_alexnet_of_torchvision_does_too(hanging, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(BackboneSource, "card", {"input_size": (3, 224, 224), "url": f"{hanging}/alexnet.pth"})
    with pytest.raises(CheckpointError, match="--pretrained") as caught:
        BackboneSource("alexnet", pretrained=True).open((224, 224))
    assert all(words in str(caught.value) for words in (str(tmp_path), hanging))


def test_an_encoder_of_transformers_does_too(hanging, tmp_path):
    pytest.importorskip("transformers")
    started = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        _ = HubSource("hf:nobody/nothing").config
    assert time.monotonic() - started < 10
    assert all(words in str(caught.value) for words in ("--backbone", "hf:FOLDER", str(tmp_path), hanging))
