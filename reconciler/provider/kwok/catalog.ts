/**
 * Which types of virtual nodes are known, and what capacity a Node of a type has. Pure; workflows,
 * `navarch sim nodes` and the provider `kwok` read the same table.
 */

/** Quantities as the operator wrote them: `pods: 110` stays a number, `memory: 2Ti` text. */
export type Resources = Readonly<Record<string, string | number>>;

export const GPU_RESOURCE = "nvidia.com/gpu";

/** What a type without resources of its own gets. */
const BASELINE: Resources = { "hugepages-1Gi": 0, "hugepages-2Mi": 0, pods: 110 };

const dgx = (cpu: number, memory: string, storage: string): Resources => ({
  ...BASELINE,
  cpu,
  memory,
  "ephemeral-storage": storage,
  [GPU_RESOURCE]: 8,
  "nvidia.com/mlnxnics": 16,
});

/** NVIDIA's user guides of the DGX A100 and the DGX H100, "Hardware Overview". */
const PRESETS: ReadonlyMap<string, Resources> = new Map([
  ["dgxa100.40g", dgx(256, "1Ti", "15Ti")],
  ["dgxa100.80g", dgx(256, "2Ti", "30Ti")],
  ["dgxh100.80g", dgx(224, "2Ti", "30Ti")],
]);

export const PRESET_TYPES: readonly string[] = [...PRESETS.keys()];

export type CapacityAnswer =
  /** `isBaseline`: neither the catalogue nor the operator names a resource. */
  | { kind: "ok"; capacity: Resources; isBaseline: boolean }
  /** The resource belongs to the preset and cannot be set. */
  | { kind: "preset"; resource: string };

/** `resources` of a preset type add to its own; of any other type they are the whole capacity. */
export function capacityOf(type: string, resources: Resources = {}): CapacityAnswer {
  const preset = PRESETS.get(type);
  if (preset === undefined) {
    const isBaseline = Object.keys(resources).length === 0;
    return { kind: "ok", capacity: isBaseline ? BASELINE : { ...resources }, isBaseline };
  }
  const taken = Object.keys(resources).find((resource) => Object.hasOwn(preset, resource));
  if (taken !== undefined) return { kind: "preset", resource: taken };
  return { kind: "ok", capacity: { ...preset, ...resources }, isBaseline: false };
}
