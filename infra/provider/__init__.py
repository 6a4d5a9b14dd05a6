"""Rempart as code: what a tenant has, declared in a Pulumi program."""

from infra.provider.definition import inference
from infra.provider.resources import ApiKey, App, Project, Secret, Service, ServiceReady

__all__ = ["ApiKey", "App", "Project", "Secret", "Service", "ServiceReady", "inference"]
