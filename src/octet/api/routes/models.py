"""/v1/models: the models that a job may name."""

from __future__ import annotations

from fastapi import APIRouter

from octet.api.openapi import problems
from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import ModelList, ModelView
from octet.errors import ModelPolicyError

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", response_model=ModelList, responses=problems(), summary="The models")
async def get_models(service: ServiceHere) -> ModelList:
    """The models that a job may name. Whether a worker has the weights shows when it runs."""
    models = []
    for entry in service.offer.listed():
        try:
            service.offer.check_model(entry.name)
        except ModelPolicyError:
            continue
        models.append(
            ModelView(
                name=entry.name,
                description=entry.description,
                licence=entry.licence,
                commercial=entry.commercial,
                stems=list(entry.sources),
                default=entry.name == service.offer.default.model,
            )
        )
    return ModelList(models=models)
