/**
 * `fleet_gen` → machines. The same generator and stream make the same machines, in the same order.
 */
import type { Random } from "../engine/random.ts";
import { rackNodes } from "./rack.ts";
import type { FleetGen, SimNode, Template } from "./scenario.ts";

/**
 * Makes every machine. Ids are `<provider>-<region>-<template>-<index>`, the index with at least
 * four digits; `pool` is `null` and is filled by the caller.
 */
export function generateFleet(gen: FleetGen, random: Random): SimNode[] {
  const nodes: SimNode[] = [];
  for (let index = 0; index < gen.totalNodes; index++) {
    const template = random.weighted(gen.templates);
    const provider = random.weighted(gen.providers)?.name ?? "";
    const region = random.weighted(gen.regions)?.name ?? "";
    const zone = random.pick(gen.zones[region] ?? []) ?? region;
    if (template === null) break;
    nodes.push(nodeOf(template, { provider, region, zone }, index));
  }
  rackNodes(nodes);
  return nodes;
}

type Place = { provider: string; region: string; zone: string };

function nodeOf(template: Template, place: Place, index: number): SimNode {
  const { provider, region } = place;
  return {
    id: `${provider}-${region}-${template.name}-${String(index).padStart(4, "0")}`,
    ...place,
    instanceType: template.instanceType ?? instanceTypeOf(provider, template.gpuCount),
    gpuCount: template.gpuCount,
    gpuType: template.gpuType,
    labels: {
      ...template.labels,
      template: template.name,
      generated: "true",
      index: String(index),
    },
    rack: "",
    pool: null,
  };
}

/** The type that each cloud sells with this many GPUs, as upstream names them. */
function instanceTypeOf(provider: string, gpuCount: number): string {
  if (provider === "gcp") return `a3-highgpu-${gpuCount}g`;
  if (provider === "aws") return gpuCount === 8 ? "p5.48xlarge" : "p4d.24xlarge";
  if (provider === "lambda") return `gpu_${gpuCount}x_h100`;
  return "generic-gpu";
}

/** All machines of a scenario: listed, then generated, the latter in the only pool there is. */
export function allNodes(
  scenario: {
    fleet: readonly SimNode[];
    stress: { fleetGen: FleetGen | null } | null;
    config: { pools: readonly { name: string }[] };
  },
  random: Random,
): SimNode[] {
  const gen = scenario.stress?.fleetGen ?? null;
  const made = gen === null ? [] : generateFleet(gen, random);
  const [first, second] = scenario.config.pools;
  const pool = second === undefined ? (first?.name ?? null) : null;
  return [...scenario.fleet, ...made.map((node) => ({ ...node, pool }))];
}
