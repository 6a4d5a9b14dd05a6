"""A definition against the catalogue: refused at the door with the field that is wrong, and the engine for a part."""

from __future__ import annotations

from dataclasses import replace

from controlplane.catalogue import service as catalogue
from controlplane.catalogue.domain import InstanceType, Model
from controlplane.catalogue.env_rules import find_env_refusal
from controlplane.deployments.domain import Definition, RegionalDeployment
from controlplane.deployments.manifest import EngineChoice
from controlplane.kernel.errors import FieldProblem, InvalidInput, NotFound
from controlplane.plumbing.database import UnitOfWork


def check_definition(uow: UnitOfWork, definition: Definition) -> Definition:
    """Return the definition with its sizes filled in; InvalidInput names each field the catalogue refuses."""
    try:
        model = catalogue.get_model(uow, definition.model)
    except NotFound as err:
        raise _refused(FieldProblem("definition.inference.model", err.message, "unknown")) from err
    problems: list[FieldProblem] = []
    if not model.is_verifiable and not definition.is_simulated_allowed:
        problems.append(
            FieldProblem(
                "definition.inference.model",
                f"the weights of {model.name} have no known digest, so no real engine serves them; "
                "is_simulated_allowed tries out placement on simulated capacity",
                "unverifiable",
            )
        )
    for index, entry in enumerate(definition.env):
        refusal = find_env_refusal(model.engine.name, entry.key)
        if refusal is not None:
            problems.append(FieldProblem(f"definition.env.{index}.key", refusal, "not_allowed"))
    sizes: list[InstanceType] = []
    for index, name in enumerate(definition.instance_types or (model.instance_type,)):
        try:
            sizes.append(catalogue.get_instance_type(uow, name))
        except NotFound as err:
            problems.append(FieldProblem(f"definition.instance_types.{index}.type", err.message, "unknown"))
            continue
        if not sizes[-1].holds(model.sizing):
            problems.append(
                FieldProblem(f"definition.instance_types.{index}.type", _too_small(sizes[-1], model))
            )
    if problems:
        raise _refused(*problems)
    return replace(
        definition,
        instance_types=tuple(size.name for size in sizes),
        gpus_per_replica=max(size.gpus for size in sizes),
    )


def find_engine(uow: UnitOfWork, definition: Definition, part: RegionalDeployment) -> EngineChoice:
    """The program and weights for a part. Errors: NotFound when the catalogue has dropped the model."""
    model = catalogue.get_model(uow, definition.model)
    assert model.is_verifiable or part.placement.is_simulated
    return EngineChoice(
        model_name=model.name,
        model_uri=model.uri,
        model_digest=model.manifest_digest,
        model_licence=model.licence_spdx,
        engine_name=model.engine.name,
        engine_image=model.engine.image,
        engine_args=model.engine.args,
    )


def _too_small(size: InstanceType, model: Model) -> str:
    need = model.sizing
    gpus = f", {need.gpus} × {need.gpu_sku}" if need.gpus else ""
    return f"{size.name} is too small for {model.name}, which needs {need.cpu_milli}m CPU, {need.memory_mib} MiB{gpus}"


def _refused(*problems: FieldProblem) -> InvalidInput:
    return InvalidInput(
        "The definition does not fit the catalogue; see `errors` for each field.", fields=problems
    )
