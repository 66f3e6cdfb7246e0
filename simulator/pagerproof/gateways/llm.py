"""The language model providers by host and path: OpenAI, Anthropic and Gemini over one simulated service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pagerproof.gateways.llm_anthropic import AnthropicGateway
from pagerproof.gateways.llm_door import OpenCases
from pagerproof.gateways.llm_gemini import GeminiGateway, is_gemini_path
from pagerproof.gateways.llm_openai import OpenAiGateway
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange, Gateway

HOSTS: Final = (
    "llm.sim",
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "*-aiplatform.googleapis.com",
    "aiplatform.googleapis.com",
)
"""The names under which the providers are served; a star stands for any region."""


class LlmGateway:
    """Serves every provider; the path says which one is meant, so that one host name does for all of them."""

    def __init__(self, *, open_cases: OpenCases = tuple) -> None:
        self._openai = OpenAiGateway(open_cases=open_cases)
        self._anthropic = AnthropicGateway(open_cases=open_cases)
        self._gemini = GeminiGateway(open_cases=open_cases)

    async def __call__(self, request: WireRequest, exchange: Exchange) -> Answer:
        """Answer one HTTP request as the provider does whose API it is. Raises ConnectionLost."""
        return await self._meant(request)(request, exchange)

    def _meant(self, request: WireRequest) -> Gateway:
        path = request.path
        if request.host == "api.anthropic.com" or "/messages" in path or "anthropic-version" in request.headers:
            return self._anthropic
        if request.host.endswith("googleapis.com") or is_gemini_path(path):
            return self._gemini
        return self._openai


def gateways(open_cases: OpenCases = tuple) -> Mapping[str, Gateway]:
    """Return a gateway for each of HOSTS."""
    everything = LlmGateway(open_cases=open_cases)
    return dict.fromkeys(HOSTS, everything)
