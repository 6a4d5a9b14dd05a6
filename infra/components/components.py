"""The parts of an installation as components: what an operator's own program composes."""

from __future__ import annotations

from pulumi import ComponentResource, ResourceOptions

from infra.components.parts import CustomResources, HelmRelease, Namespace
from infra.components.plan import CellPlan, ControlPlanePlan, GatewayPlan, Image, Plan
from infra.components.values_rules import controlplane_values, gateway_values, operators_values

# Acceptance checks of nodes run there; no other namespace will do.
OPERATORS_NAMESPACE = "rempart-system"


class ControlPlane(ComponentResource):
    """API, worker, relay, beat and watcher, in one namespace of one cluster."""

    def __init__(
        self,
        name: str,
        plan: ControlPlanePlan,
        namespace: Namespace,
        *,
        wait_seconds: int,
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("rempart:install:ControlPlane", name, {}, opts)
        self.release = HelmRelease(
            f"{name}-controlplane",
            release=name,
            chart="controlplane",
            namespace=namespace.name,
            values=controlplane_values(plan),
            context=plan.context,
            wait_seconds=wait_seconds,
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"release": self.release.release})


class Operators(ComponentResource):
    """The operators of one cell, with the custom resources they serve."""

    def __init__(
        self,
        name: str,
        plan: CellPlan,
        namespace: Namespace,
        *,
        wait_seconds: int,
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("rempart:install:Operators", name, {}, opts)
        own = ResourceOptions(parent=self)
        self.custom_resources = CustomResources(f"{name}-crds", context=plan.context, opts=own)
        self.release = HelmRelease(
            f"{name}-operators",
            release=f"{name}-operators",
            chart="operators",
            namespace=namespace.name,
            values=operators_values(plan),
            context=plan.context,
            wait_seconds=wait_seconds,
            opts=ResourceOptions(parent=self, depends_on=[self.custom_resources]),
        )
        self.register_outputs({"release": self.release.release})


class Gateway(ComponentResource):
    """A datacenter's gateway: Envoy and the program that drives it."""

    def __init__(
        self,
        name: str,
        plan: GatewayPlan,
        namespace: Namespace,
        *,
        datacenter: str,
        image: Image,
        context: str = "",
        wait_seconds: int,
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("rempart:install:Gateway", name, {}, opts)
        self.release = HelmRelease(
            f"{name}-gateway",
            release=f"{name}-gateway",
            chart="gateway",
            namespace=namespace.name,
            values=gateway_values(plan, datacenter, image),
            context=context,
            wait_seconds=wait_seconds,
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"release": self.release.release})


class Cell(ComponentResource):
    """One Kubernetes cluster of a datacenter: its operators, and the gateway if it stands here."""

    def __init__(
        self, name: str, plan: CellPlan, *, wait_seconds: int, shared: Namespace | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:  # fmt: skip
        super().__init__("rempart:install:Cell", name, {}, opts)
        own = ResourceOptions(parent=self)
        system = Namespace(
            f"{name}-system", name=OPERATORS_NAMESPACE, country=plan.country, context=plan.context, opts=own
        )
        self.operators = Operators(name, plan, system, wait_seconds=wait_seconds, opts=own)
        self.gateway: Gateway | None = None
        if plan.gateway is not None:
            home = shared or Namespace(
                f"{name}-gateway-home",
                name=plan.gateway.namespace,
                country=plan.country,
                context=plan.context,
                opts=own,
            )
            self.gateway = Gateway(
                name, plan.gateway, home, datacenter=plan.datacenter, image=plan.image, context=plan.context,
                wait_seconds=wait_seconds, opts=own,
            )  # fmt: skip
        self.register_outputs({})


class Installation(ComponentResource):
    """The whole of a plan. Cells come after the control plane, whose migration makes what they write into."""

    def __init__(self, name: str, plan: Plan, opts: ResourceOptions | None = None) -> None:
        super().__init__("rempart:install:Installation", name, {}, opts)
        own = ResourceOptions(parent=self)
        self.control_plane: ControlPlane | None = None
        home: Namespace | None = None
        if plan.control_plane is not None:
            asked = plan.control_plane
            home = Namespace(
                f"{name}-home", name=asked.namespace, country=asked.country, context=asked.context, opts=own
            )
            self.control_plane = ControlPlane(
                plan.release, asked, home, wait_seconds=plan.wait_seconds, opts=own
            )
        before = [self.control_plane] if self.control_plane is not None else []
        self.cells = [
            Cell(
                cell.cell,
                cell,
                wait_seconds=plan.wait_seconds,
                shared=home if _stands_in(cell, plan.control_plane) else None,
                opts=ResourceOptions(parent=self, depends_on=before),
            )
            for cell in plan.cells
        ]
        self.register_outputs({})


def _stands_in(cell: CellPlan, control_plane: ControlPlanePlan | None) -> bool:
    """Whether a cell's gateway shares the control plane's namespace: one namespace has one owner of its labels."""
    return (
        control_plane is not None
        and cell.gateway is not None
        and (cell.context, cell.gateway.namespace) == (control_plane.context, control_plane.namespace)
    )
