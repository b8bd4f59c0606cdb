/**
 * What the targets of a scenario may name: listed nodes, nodes that will be generated, nodes that
 * pools will buy, replacements, pools, zones and providers. A wrong name is an error with the
 * nearest right one, as far as right ones can be known before the run.
 */
import { quoteShort } from "../../reconciler/config/problem.ts";
import type { Section } from "../../reconciler/config/section.ts";
import { nearest } from "../../schema/nearest.ts";
import type { FleetGen, SimNode } from "./scenario.ts";

export type Names = {
  /**
   * `null`: no node of that id can exist. `gpuCount` is `null` where the template is not known
   * before the run.
   */
  node(id: string): { gpuCount: number | null } | null;
  nodes: readonly string[];
  pools: readonly string[];
  zones: readonly string[];
  regions: readonly string[];
  providers: readonly string[];
  /** What runs in the Kubernetes cluster; `null` = there is none. */
  cluster: { pods: readonly string[]; budgets: readonly string[] } | null;
};

/** Upstream names the replacement of `x` `x-gen2`, so files may speak of it before it exists. */
const REPLACEMENT = /-gen[1-9]\d{0,5}$/;

/** The name of a machine without the generations of its replacements. */
export function baseOf(id: string): string {
  return id.replace(REPLACEMENT, "");
}

/** `pools` are those that buy machines, whose ids are the product's to choose. */
export function namesOf(
  fleet: readonly SimNode[],
  gen: FleetGen | null,
  pools: readonly string[],
  providers: readonly string[],
): Names {
  const listed = new Map(fleet.map((node) => [node.id, node]));
  const zones = fleet.map((node) => node.zone);
  const regions = fleet.map((node) => node.region);
  const owners = fleet.map((node) => node.provider);
  if (gen !== null) {
    for (const { name } of gen.regions) zones.push(...(gen.zones[name] ?? []));
    regions.push(...gen.regions.map((one) => one.name));
    owners.push(...gen.providers.map((one) => one.name));
  }
  return {
    node(id) {
      const base = baseOf(id);
      const known = listed.get(id) ?? listed.get(base);
      if (known !== undefined) return { gpuCount: known.gpuCount };
      const template = gen === null ? null : templateOf(gen, base);
      if (template !== null) return { gpuCount: template };
      const isOf = (pool: string) => base.includes(`-${pool}-`) || base.startsWith(`${pool}-`);
      const bought = pools.some(isOf);
      return bought ? { gpuCount: null } : null;
    },
    nodes: [...listed.keys()],
    pools,
    zones: unique(zones),
    regions: unique(regions),
    providers: unique([...owners, ...providers]),
    cluster: null,
  };
}

/** GPUs of the template that the id names, or `null` if the generator never makes that id. */
function templateOf(gen: FleetGen, id: string): number | null {
  const index = /-(\d{4,})$/.exec(id);
  if (index === null || Number(index[1]) >= gen.totalNodes) return null;
  const stem = id.slice(0, index.index);
  for (const template of gen.templates) {
    if (!stem.endsWith(`-${template.name}`)) continue;
    const place = stem.slice(0, -template.name.length - 1);
    for (const provider of gen.providers) {
      if (!place.startsWith(`${provider.name}-`)) continue;
      const region = place.slice(provider.name.length + 1);
      if (gen.regions.some((one) => one.name === region)) return template.gpuCount;
    }
  }
  return null;
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => name !== "").sort();
}

/** Names compared for a hint: thousands of wrong targets and thousands of nodes take minutes. */
const COMPARED_MAX = 500;

/** Says that `name` names none of `allowed`, at `key` of `section`. */
export function refuseName(
  section: Section,
  key: string,
  what: string,
  name: string,
  allowed: readonly string[],
): void {
  const close = nearest(name, allowed.slice(0, COMPARED_MAX));
  const some = allowed.slice(0, 8).join(", ");
  const list = allowed.length === 0 ? "there is none" : `one of ${some}`;
  const all = allowed.length > 8 ? `${list}, …` : list;
  const hint = close === null ? all : `did you mean "${close}"?`;
  section.fail(key, "unknown_name", `unknown ${what} ${quoteShort(name)}`, hint);
}
