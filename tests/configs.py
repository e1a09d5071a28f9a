"""A configuration as the command line composes it."""

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from prereq.config import Config
from prereq.config.build import with_versions
from prereq.config.compose import conf_dir, register_schema


def raw(*overrides: str) -> DictConfig:
    register_schema()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", list(overrides))


def composed(*overrides: str) -> Config:
    return OmegaConf.to_object(with_versions(raw(*overrides)))
