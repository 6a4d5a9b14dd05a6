"""Arguments and options that name a thing of the API: one text for each kind, and completion from the API."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli import completion as names

ServiceArgument = Annotated[
    str, typer.Argument(help="Id or name of the service.", autocompletion=names.offer(names.SERVICES))
]
AppArgument = Annotated[
    str,
    typer.Argument(metavar="APP", help="Id or name of the app.", autocompletion=names.offer(names.APPS)),
]
SecretArgument = Annotated[
    str, typer.Argument(help="Id or name of the secret.", autocompletion=names.offer(names.SECRETS))
]
ProjectArgument = Annotated[
    str, typer.Argument(help="Id or name of the project.", autocompletion=names.offer(names.PROJECTS))
]
DeploymentArgument = Annotated[
    str, typer.Argument(help="Id of the deployment.", autocompletion=names.offer(names.DEPLOYMENTS))
]
InstanceArgument = Annotated[
    str, typer.Argument(help="Id of the instance.", autocompletion=names.offer(names.INSTANCES))
]
KeyArgument = Annotated[
    str,
    typer.Argument(help="Id of the key (key_…), not its text.", autocompletion=names.offer(names.KEYS)),
]
OperatorKeyArgument = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="Id of the key (key_…), not its text.",
        autocompletion=names.offer(names.OPERATOR_KEYS),
    ),
]
InvoiceArgument = Annotated[
    str,
    typer.Argument(metavar="INVOICE", help="Id of the invoice.", autocompletion=names.offer(names.INVOICES)),
]
AnyInvoiceArgument = Annotated[
    str,
    typer.Argument(
        metavar="INVOICE", help="Id of the invoice.", autocompletion=names.offer(names.PLATFORM_INVOICES)
    ),
]
OrganizationArgument = Annotated[
    str, typer.Argument(help="Id of the organization.", autocompletion=names.offer(names.ORGANIZATIONS))
]
ModelArgument = Annotated[
    str, typer.Argument(help="Name of the model.", autocompletion=names.offer(names.MODELS))
]
ContextArgument = Annotated[
    str,
    typer.Argument(help="Name of the context, as 'list' shows it.", autocompletion=names.offer_contexts),
]
DatacenterArgument = Annotated[
    str,
    typer.Argument(
        help="Code of the datacenter, such as essonne-1.", autocompletion=names.offer(names.DATACENTERS)
    ),
]
PoolArgument = Annotated[
    str, typer.Argument(help="Name of the pool.", autocompletion=names.offer(names.POOLS))
]

EntityArgument = Annotated[
    str,
    typer.Argument(metavar="FACT", help="Id of the fact.", autocompletion=names.offer(names.ENTITIES)),
]
HoldingArgument = Annotated[
    str,
    typer.Argument(metavar="FACT", help="Id of the fact.", autocompletion=names.offer(names.HOLDINGS)),
]
CertificationArgument = Annotated[
    str,
    typer.Argument(metavar="FACT", help="Id of the fact.", autocompletion=names.offer(names.CERTIFICATIONS)),
]
PlanArgument = Annotated[
    str, typer.Argument(help="Code of the plan.", autocompletion=names.offer(names.PLANS))
]
SkuArgument = Annotated[
    str, typer.Argument(help="Code of what is sold.", autocompletion=names.offer(names.SKUS))
]

ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        help="Project by id or name; else the key's own, or the default one.",
        autocompletion=names.offer(names.PROJECTS),
    ),
]
# Of a list: which rows. Of a command that takes a name: where the name is looked for.
WithinOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        help="Only in this project, by id or name; else in all that the key may see.",
        autocompletion=names.offer(names.PROJECTS),
    ),
]
