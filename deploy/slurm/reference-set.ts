/** A set of Kubernetes objects in which references are looked up. Pure. */
import { KEYS_ANNOTATION } from "./manifest-option.ts";

/** An object that the set takes as there, with its keys. */
export type Given = { kind: string; name: string; keys: readonly string[] };

export type KubeObject = {
  kind: string;
  metadata: { name: string; namespace?: string };
  readonly [field: string]: unknown;
};

type Piece = Readonly<Record<string, unknown>>;

export const mapOf = (value: unknown): Piece =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Piece) : {};

export const listOf = (value: unknown): Piece[] =>
  Array.isArray(value) ? value.map((one: unknown) => mapOf(one)) : [];

export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

export const nameOf = ({ kind, metadata }: KubeObject): string => `${kind}/${metadata.name}`;

/** `null` unless the object makes pods. */
export function podOf(object: KubeObject): Piece | null {
  const spec = mapOf(object["spec"]);
  if (object.kind === "Pod") return spec;
  const inner = object.kind === "CronJob" ? mapOf(mapOf(spec["jobTemplate"])["spec"]) : spec;
  return "template" in inner ? mapOf(mapOf(inner["template"])["spec"]) : null;
}

export const containersOf = (pod: Piece): Piece[] => [
  ...listOf(pod["initContainers"]),
  ...listOf(pod["containers"]),
];

export class WorkSet {
  readonly objects: readonly KubeObject[];
  references = 0;
  private readonly given: readonly Given[];
  private readonly found = new Set<string>();

  constructor(objects: readonly KubeObject[], given: readonly Given[]) {
    this.objects = objects;
    this.given = given;
  }

  dangling(): string[] {
    return [...this.found];
  }

  /** Counts a reference of `from`. */
  judge(from: KubeObject, to: string, isThere: boolean): void {
    this.references += 1;
    if (!isThere) this.refuse(from, `${to} is not in the set`);
  }

  refuse(from: KubeObject, what: string): void {
    this.found.add(`${nameOf(from)}: ${what}`);
  }

  find(from: KubeObject, kind: string, name: string): KubeObject | null {
    const { namespace } = from.metadata;
    const found = this.objects.find((one) => {
      const { metadata } = one;
      return one.kind === kind && metadata.name === name && metadata.namespace === namespace;
    });
    return found ?? null;
  }

  /** The object and each key, in the set or given. */
  need(from: KubeObject, to: Given): void {
    const object = this.find(from, to.kind, to.name);
    const given = this.given.find((one) => {
      return one.kind.toLowerCase() === to.kind.toLowerCase() && one.name === to.name;
    });
    this.judge(from, `${to.kind} ${to.name}`, object !== null || given !== undefined);
    if (object === null && given === undefined) return;
    const keys = new Set([...(given?.keys ?? []), ...(object === null ? [] : keysOf(object))]);
    for (const key of to.keys) {
      this.judge(from, `key ${key} of ${to.kind} ${to.name}`, keys.has(key));
    }
  }

  /** Whether the Service selects the pods of the workload. */
  selects(service: KubeObject, workload: KubeObject): boolean {
    if (service.metadata.namespace !== workload.metadata.namespace) return false;
    const selector = Object.entries(mapOf(mapOf(service["spec"])["selector"]));
    const labels = labelsOf(workload);
    return selector.length > 0 && selector.every(([key, value]) => labels[key] === value);
  }

  /** By the port's name or number. */
  hasPort(workload: KubeObject, port: unknown): boolean {
    const ports = containersOf(podOf(workload) ?? {}).flatMap(({ ports }) => listOf(ports));
    return ports.some((one) => one["name"] === port || one["containerPort"] === port);
  }
}

function labelsOf(workload: KubeObject): Piece {
  if (workload.kind === "Pod") return mapOf(mapOf(workload["metadata"])["labels"]);
  const template = mapOf(mapOf(workload["spec"])["template"]);
  return mapOf(mapOf(template["metadata"])["labels"]);
}

/** The keys of a ConfigMap or Secret, with those that a template says it will get. */
function keysOf(object: KubeObject): string[] {
  const annotations = mapOf(mapOf(object["metadata"])["annotations"]);
  const later = textOf(annotations[KEYS_ANNOTATION]).split(",");
  const maps = [object["data"], object["stringData"], object["binaryData"]];
  return [...maps.flatMap((map) => Object.keys(mapOf(map))), ...later];
}
