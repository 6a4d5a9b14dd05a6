"""One request body for each operation that takes one: what a first call can look like.

They stand in the description (`example` of each body) and on the pages below `/docs`; a test holds each against the
model that reads it. Ids, names and papers are made up.
"""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

_ORGANIZATION: Final = "org_01k0000000000000000000000a"
_PROJECT: Final = "prj_01jd00000000000000000000a0"
_ENTITY: Final = "ent_01kexamp1e0000000000000000"
_SUBSIDIARY: Final = "ent_01kexamp1e0000000000000001"
_ADDRESS: Final[Json] = {
    "line1": "1 rue du Test",
    "postal_code": "91120",
    "city": "Palaiseau",
    "country": "FR",
}
_SIGNUP: Final[Json] = {
    "organization": {
        "name": "acme",
        "legal_name": "Acme SAS",
        "country": "FR",
        "siren": "732829320",
        "vat_id": "FR44732829320",
        "address": _ADDRESS,
    },
    "project": {"name": "default"},
}
_DEFINITION: Final[Json] = {
    "name": "assistant",
    "inference": {"model": "smollm2-135m-instruct"},
    "scalings": [{"min": 0, "max": 2, "targets": [{"sleep_idle_delay": {"deep_sleep_value": 300}}]}],
    "env": [{"key": "LOG_LEVEL", "value": "info"}],
    "sovereignty": {"countries": ["FR"], "is_non_eu_control_denied": True},
}
_END: Final[Json] = {"valid_to": "2026-12-01T00:00:00Z"}
_EVENT: Final[Json] = {
    "specversion": "1.0",
    "id": "req_01jd00000000000000000000a0",
    "source": "/gateways/essonne-1",
    "type": "eu.rempart.inference.request.v1",
    "subject": "svc_01jd00000000000000000000a0",
    "time": "2026-11-28T09:30:00Z",
    "data": {
        "tenant_id": _ORGANIZATION,
        "project_id": _PROJECT,
        "service_id": "svc_01jd00000000000000000000a0",
        "deployment_id": "dep_01jd00000000000000000000a0",
        "regional_deployment_id": "rdp_01jd00000000000000000000a0",
        "instance": "assistant-0-a1b2c",
        "key_id": "key_01jd00000000000000000000a0",
        "model": "smollm2-135m-instruct",
        "datacenter": "essonne-1",
        "country": "FR",
        "status": 200,
        "stream": False,
        "input_tokens": 12,
        "output_tokens": 48,
        "usage_source": "engine",
        "duration_ms": 910,
        "ttft_ms": 120,
        "request_bytes": 180,
        "response_bytes": 640,
        "is_disconnected": False,
    },
}

EXAMPLES: Final[dict[str, Any]] = {
    "sign_up": {**_SIGNUP, "accepted_terms": "2026-11"},
    "admin_create_organization": _SIGNUP,
    "update_organization": {"legal_name": "Acme SA", "address": _ADDRESS},
    "create_project": {"name": "chat", "description": "Chat service"},
    "update_project": {"description": "Assistant"},
    "admin_suspend_organization": {"reason": "Unpaid invoice."},
    "admin_approve_organization": {"version": 1},
    "admin_refuse_organization": {"reason": "The register names nobody of your name."},
    "admin_approve_tax_zone": {"reason": "SIRET 73282932000082, Cayenne."},
    "admin_set_quota": {"limit": 128},
    "create_api_key": {"name": "ci", "role": "developer", "project_id": _PROJECT, "expires_in_days": 90},
    "roll_api_key": {"overlap_hours": 24},
    "admin_create_api_key": {"name": "accounting", "role": "platform_billing", "expires_in_days": 90},
    "admin_roll_api_key": {"overlap_hours": 24},
    "admin_recover_organization": {
        "reason": "Asked for in writing by its legal representative; identity checked."
    },
    "create_legal_entity": {
        "evidence": "Kbis extract of 2026-10-02",
        "name": "Essonne Calcul SAS",
        "kind": "company",
        "seat": "FR",
        "central_administration": "FR",
        "principal_establishment": "FR",
        "siren": "732829320",
    },
    "end_legal_entity": _END,
    "create_holding": {
        "evidence": "Share register of 2026-10-02",
        "holder_id": _ENTITY,
        "held_id": _SUBSIDIARY,
        "capital_bp": 5500,
        "votes_bp": 5500,
    },
    "end_holding": _END,
    "create_certification": {
        "evidence": "Certificate 4711 of 2026-03-01",
        "framework": "HDS",
        "framework_version": "2.0",
        "entity_id": _ENTITY,
        "issued_on": "2026-03-01",
        "expires_on": "2029-02-28",
    },
    "end_certification": _END,
    "create_datacenter": {
        "code": "essonne-1",
        "name": "Essonne, hall 1",
        "country": "FR",
        "operator_entity_id": _ENTITY,
        "owner_entity_id": _ENTITY,
        "power_kw": 40_000,
        "rack_kw_max": 130,
        "pue_milli": 1200,
        "cells": [{"name": "essonne-1-a"}],
    },
    "update_datacenter": {"pue_milli": 1180},
    "create_node_pool": {
        "name": "essonne-b300",
        "datacenter": "essonne-1",
        "cell": "essonne-1-a",
        "provider": "kwok",
        "instance_type": "b300-8x",
        "accelerator": {"sku": "nvidia-b300", "count": 8},
        "cpu_milli": 192_000,
        "memory_mib": 2_097_152,
        "watts_per_node": 14_000,
        "replicas": 4,
    },
    "scale_node_pool": {"replicas": 6},
    "create_app": {"name": "support", "project_id": _PROJECT},
    "update_app": {"name": "helpdesk"},
    "create_secret": {"name": "hub-token", "value": "what only the service may see"},
    "update_secret": {"value": "its next value"},
    "create_service": {"app_id": "app_01jd00000000000000000000a0", "definition": _DEFINITION},
    "replace_service": {"definition": _DEFINITION},
    "update_service": {"definition": {"scalings": [{"min": 1, "max": 2}]}},
    "drain_node": {"is_forced": False},
    "replace_node": {"is_forced": False},
    "rollback_service": {"deployment_id": "dep_01jd00000000000000000000a0"},
    "scale_service": {"min": 0, "max": 2},
    "ingest_usage_events": {
        "application/cloudevents+json": _EVENT,
        "application/cloudevents-batch+json": [_EVENT],
    },
    "report_security_events": {
        "security_events": [
            {
                "id": "evt_01jd00000000000000000000a0",
                "kind": "failed_authentication",
                "reason": "invalid_api_key",
                "route": "/v1/chat/completions",
                "address": "203.0.113.7",
                "count": 120,
                "first_at": "2026-01-05T09:00:00Z",
                "last_at": "2026-01-05T09:00:58Z",
            }
        ]
    },
    "admin_close_period": {"organization_id": _ORGANIZATION, "period": "2026-10", "issue": True},
    "admin_hold_invoice": {"reason": "Customer disputes usage."},
    "admin_create_credit_note": {"reason": "Service interrompu", "lines": [{"position": 1, "net": "10.00"}]},
    "admin_sell_deposit": {"net": "1000.00", "label": "Crédit 2027"},
    "admin_record_vat_check": {
        "organization_id": _ORGANIZATION,
        "vat_id": "DE123456788",
        "status": "VALID",
        "consultation_number": "WAPIAAAAX1",
        "is_simulated": False,
    },
    "admin_set_seller": {
        "legal_name": "Rempart SAS",
        "legal_form": "Société par actions simplifiée",
        "capital": "100000.00",
        "siren": "100000009",
        "siret": "10000000900017",
        "rcs_city": "Paris",
        "vat_id": "FR88100000009",
        "address": {
            "line1": "1 rue de la Démonstration",
            "line2": "",
            "postal_code": "75001",
            "city": "Paris",
            "country": "FR",
        },
        "iban": "FR7630006000011234567890189",
        "bic": "AGRIFRPPXXX",
        "electronic_address": "100000009",
        "contact_email": "facturation@example.com",
        "number_prefix": "RMP",
        "payment_days": 30,
        "late_rate": "taux de la BCE majoré de 10 points",
        "is_vat_on_debits": False,
        "is_demo": True,
    },
    "admin_receive_payment": {
        "organization_id": _ORGANIZATION,
        "amount": "120.00",
        "received_on": "2026-11-20",
        "bank_reference": "2026-11-20/17",
        "remittance": "RMP-2026-000001",
    },
    "admin_refund_payment": {"amount": "12.00", "paid_on": "2026-11-25", "bank_reference": "2026-11-25/3"},
    "preview_costs": {"plan": "pro", "usage": [{"meter": "input_tokens", "quantity": "1000000"}]},
    "set_budget": {"amount": "500.00", "is_hard": True},
    "create_sku": {
        "code": "tokens.input",
        "description_fr": "Jetons en entrée",
        "description_en": "Input tokens",
        "meter": "input_tokens",
        "unit": "token",
        "matches": {"model": "smollm2-135m-instruct"},
    },
    "create_price_version": {
        "sku": "tokens.input",
        "model": "PER_UNIT",
        "base_quantity": "1000000",
        "tiers": [{"unit_price": "0.20"}],
        "valid_from": "2026-12-01T00:00:00Z",
    },
    "create_plan": {"code": "pro", "title_fr": "Pro", "title_en": "Pro", "discount_percent": "10"},
    "admin_set_plan": {"plan": "pro", "valid_from": "2026-12-01T00:00:00Z"},
    "admin_grant_credit": {
        "label": "Welcome credit",
        "amount": "50.00",
        "expires_at": "2027-06-01T00:00:00Z",
    },
    "set_accounting_entity": {"siren": "732829320", "legal_name": "Nuage SAS"},
    "move_clock": {"offset_seconds": 2_592_000},
}
"""By the operation's id: the body, or where an operation takes several media types, one for each."""


def add_examples(operation: Json) -> None:
    """Put the example of an operation into each of its bodies."""
    content: Json = operation.get("requestBody", {}).get("content", {})
    example = EXAMPLES.get(operation["operationId"])
    for media, body in content.items():
        if example is not None:
            body["example"] = example[media] if len(content) > 1 else example
