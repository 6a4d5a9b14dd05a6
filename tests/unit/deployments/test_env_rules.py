"""Which variables reach an engine that the platform answers for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalogue.env_rules import OWN_PREFIX, PLATFORM_ENV, find_env_refusal, list_allowed
from controlplane.catalogue.seed_data import MODELS
from controlplane.kernel import bounds

ENGINES = sorted({model.engine.name for model in MODELS})
# One or more of each family that is known to change devices, code, model or network of some engine.
FAMILIES = {
    "devices": ["NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES", "CUDA_INJECTION64_PATH",
                "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK"],
    "code": ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PATH", "HOME",
             "BASH_ENV", "ENV", "GCONV_PATH", "TORCH_EXTENSIONS_DIR", "TRITON_CACHE_DIR", "GGML_BACKEND_PATH",
             "OPENSSL_CONF", "GLIBC_TUNABLES", "MALLOC_CONF", "PIP_INDEX_URL", "NODE_OPTIONS", "PERL5OPT", "TMPDIR"],
    "model": ["HF_TOKEN", "HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "TRANSFORMERS_CACHE",
              "VLLM_PLUGINS", "VLLM_USE_MODELSCOPE", "LLAMA_ARG_MODEL", "LLAMA_ARG_CTX_SIZE", "REMPART_MODEL_URI",
              "REMPART_MODEL_DIGEST", "MODELSCOPE_CACHE", "SGLANG_USE_MODELSCOPE"],
    "network": ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
                "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NCCL_SOCKET_IFNAME", "NCCL_NET_PLUGIN", "GLOO_SOCKET_IFNAME",
                "RAY_ADDRESS", "PORT", "VLLM_HOST_IP", "RES_OPTIONS", "HOSTALIASES"],
    "limits": ["OMP_NUM_THREADS", "VLLM_API_KEY", "MALLOC_ARENA_MAX", "REMPART_PARALLEL", "REMPART_DRAIN_SECONDS"],
}  # fmt: skip


@pytest.mark.case("X12")
class TestVariables:
    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize("name", [name for names in FAMILIES.values() for name in names])
    def test_what_changes_devices_code_model_or_network_is_refused_for_each_engine(
        self, engine: str, name: str
    ) -> None:
        refusal = find_env_refusal(engine, name)
        assert refusal is not None
        assert name in refusal
        assert OWN_PREFIX in refusal

    @given(st.sampled_from(ENGINES), st.from_regex(bounds.ENV_KEY_PATTERN, fullmatch=True))
    def test_a_name_that_no_list_has_and_that_is_not_the_tenants_own_is_refused(
        self, engine: str, name: str
    ) -> None:
        is_own = re.fullmatch(r"APP_[A-Z0-9_]+", name) is not None
        assert (find_env_refusal(engine, name) is None) == (is_own or name in list_allowed(engine))

    @pytest.mark.parametrize("engine", ENGINES)
    def test_what_is_allowed_is_allowed_by_its_exact_name(self, engine: str) -> None:
        for name in list_allowed(engine):
            assert find_env_refusal(engine, name) is None
            assert find_env_refusal(engine, name.lower()) is not None
            assert find_env_refusal(engine, f"{name}\n") is not None

    def test_no_list_names_what_the_platform_tells(self) -> None:
        for engine in ENGINES:
            assert not PLATFORM_ENV & set(list_allowed(engine))
            assert all(find_env_refusal(engine, name) for name in PLATFORM_ENV)

    def test_engine_without_a_list_takes_the_tenants_own_names_only(self) -> None:
        assert find_env_refusal("another", "LOG_LEVEL") is not None
        assert find_env_refusal("another", "APP_MODE") is None
