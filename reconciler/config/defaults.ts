/**
 * `defaults` and its old alias `global`: what holds for pools that are silent, each field on its
 * own. Nearest place first: pool, `defaults`, `global`, built-in.
 */
import { type PoolConfig, REPLACEMENTS, type Share } from "../../schema/config.ts";
import { type BootstrapPart, readBootstrap } from "./bootstrap.ts";
import { type DrainPart, readDrain } from "./drain.ts";
import { readLabels } from "./label.ts";
import type { Section } from "./section.ts";
import { readShare } from "./share.ts";

export type HealthPart = {
  unhealthyThreshold: number | null;
  autoReplace: boolean | null;
  maxUnavailable: Share | null;
};

/** What a pool and `defaults` may both say. */
export type PoolPart = {
  sshKeys: string[] | null;
  health: HealthPart;
  labels: Record<string, string>;
  drain: DrainPart;
  replacement: PoolConfig["replacement"] | null;
  bootstrap: BootstrapPart;
};

export type Defaults = PoolPart & { cooldownMs: number | null };

export function readPoolPart(section: Section): PoolPart {
  return {
    sshKeys: section.texts("ssh_keys"),
    health: readHealth(section.map("health")),
    labels: readLabels(section),
    drain: readDrain(section.map("drain")),
    replacement: section.choice("replacement", REPLACEMENTS),
    bootstrap: readBootstrap(section),
  };
}

/** Leaves `finish` to the caller: `global` holds one key more. */
export function readDefaults(section: Section): Defaults {
  return { ...readPoolPart(section), cooldownMs: section.duration("cooldown_period") };
}

function readHealth(health: Section): HealthPart {
  const part = {
    unhealthyThreshold: health.integer("unhealthy_threshold", { min: 1 }),
    autoReplace: health.flag("auto_replace"),
    maxUnavailable: readShare(health, "max_unavailable"),
  };
  health.finish();
  return part;
}

export function mergeHealth(parts: readonly HealthPart[]): PoolConfig["health"] {
  const first = <Key extends keyof HealthPart>(key: Key) =>
    parts.map((part) => part[key]).find((value) => value !== null) ?? null;
  return {
    unhealthyThreshold: first("unhealthyThreshold") ?? 2,
    autoReplace: first("autoReplace") ?? true,
    maxUnavailable: first("maxUnavailable") ?? { kind: "percent", percent: 20 },
  };
}
