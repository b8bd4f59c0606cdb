/**
 * Proves that a set of manifests is closed: what a workload, a Service or a Slurm configuration
 * refers to is in the set, or is said to be given. Pure.
 */
import { judgeConfig } from "./reference-config.ts";
import {
  containersOf,
  type Given,
  type KubeObject,
  listOf,
  mapOf,
  nameOf,
  podOf,
  textOf,
  WorkSet,
} from "./reference-set.ts";

export type ReferenceReport = { objects: number; references: number; dangling: string[] };

const PLACEHOLDER =
  /\/path\/to|CHANGE[-_ ]?ME|REPLACE[-_ ]?ME|<your[-_ ][^>]*>|\bControlMachine\b/i;

export function judgeReferences(
  objects: readonly KubeObject[],
  given: readonly Given[],
): ReferenceReport {
  const set = new WorkSet(objects, given);
  for (const object of objects) {
    judgeNamespace(set, object);
    judgeText(set, object, object);
    if (podOf(object) !== null) judgeWorkload(set, object);
    if (object.kind === "Service") judgeService(set, object);
    if (object.kind === "ConfigMap") judgeConfig(set, object);
  }
  judgeClaims(set);
  return { objects: objects.length, references: set.references, dangling: set.dangling() };
}

function judgeNamespace(set: WorkSet, object: KubeObject): void {
  const { namespace } = object.metadata;
  if (namespace === undefined || namespace === "default") return;
  const found = set.objects.some(({ kind, metadata }) => {
    return kind === "Namespace" && metadata.name === namespace;
  });
  set.judge(object, `Namespace ${namespace}`, found);
}

function judgeText(set: WorkSet, object: KubeObject, value: unknown): void {
  if (typeof value === "string") {
    const found = PLACEHOLDER.exec(value);
    if (found !== null) set.refuse(object, `placeholder text ${JSON.stringify(found[0])}`);
  } else if (typeof value === "object" && value !== null) {
    for (const child of Object.values(value)) judgeText(set, object, child);
  }
}

function judgeWorkload(set: WorkSet, object: KubeObject): void {
  const pod = podOf(object) ?? {};
  const volumes = new Map(listOf(pod["volumes"]).map((one) => [textOf(one["name"]), one]));
  for (const volume of volumes.values()) judgeVolume(set, object, volume);
  for (const one of listOf(mapOf(object["spec"])["volumeClaimTemplates"])) {
    volumes.set(textOf(mapOf(one["metadata"])["name"]), one);
  }
  for (const secret of listOf(pod["imagePullSecrets"])) {
    set.need(object, { kind: "Secret", name: textOf(secret["name"]), keys: [] });
  }
  const account = textOf(pod["serviceAccountName"]);
  if (account !== "" && account !== "default") {
    set.need(object, { kind: "ServiceAccount", name: account, keys: [] });
  }
  for (const container of containersOf(pod)) judgeContainer(set, object, container, volumes);
  if (object.kind !== "StatefulSet") return;
  const service = textOf(mapOf(object["spec"])["serviceName"]);
  const found = set.find(object, "Service", service);
  set.judge(object, `Service ${service}`, found !== null);
  if (found !== null && !set.selects(found, object)) {
    set.refuse(object, `Service ${service} selects other pods`);
  }
}

type Piece = Readonly<Record<string, unknown>>;

function judgeVolume(set: WorkSet, object: KubeObject, volume: Piece): void {
  if ("hostPath" in volume) set.refuse(object, `hostPath in volume ${textOf(volume["name"])}`);
  const claim = textOf(mapOf(volume["persistentVolumeClaim"])["claimName"]);
  if (claim !== "") set.need(object, { kind: "PersistentVolumeClaim", name: claim, keys: [] });
  for (const source of [volume, ...listOf(mapOf(volume["projected"])["sources"])]) {
    const map = mapOf(source["configMap"]);
    const secret = mapOf(source["secret"]);
    const keys = (of: Piece): string[] => listOf(of["items"]).map((item) => textOf(item["key"]));
    if ("configMap" in source && map["optional"] !== true) {
      set.need(object, { kind: "ConfigMap", name: textOf(map["name"]), keys: keys(map) });
    }
    if ("secret" in source && secret["optional"] !== true) {
      const name = textOf(secret["secretName"] ?? secret["name"]);
      set.need(object, { kind: "Secret", name, keys: keys(secret) });
    }
  }
}

function judgeContainer(
  set: WorkSet,
  object: KubeObject,
  container: Piece,
  volumes: ReadonlyMap<string, Piece>,
): void {
  for (const mount of listOf(container["volumeMounts"])) {
    const name = textOf(mount["name"]);
    set.judge(object, `volume ${name}`, volumes.has(name));
  }
  const sources = [
    ...listOf(container["env"]).map((one) => mapOf(one["valueFrom"])),
    ...listOf(container["envFrom"]),
  ];
  for (const source of sources) {
    for (const [field, kind] of ENV_SOURCES) {
      const ref = mapOf(source[field]);
      if (!(field in source) || ref["optional"] === true) continue;
      const keys = "key" in ref ? [textOf(ref["key"])] : [];
      set.need(object, { kind, name: textOf(ref["name"]), keys });
    }
  }
  const ports = listOf(container["ports"]).map((one) => textOf(one["name"]));
  for (const field of ["startupProbe", "readinessProbe", "livenessProbe"]) {
    const probe = mapOf(container[field]);
    const port = mapOf(probe["httpGet"] ?? probe["tcpSocket"])["port"];
    if (typeof port !== "string") continue;
    set.judge(object, `port ${port} of ${field}`, ports.includes(port));
  }
}

const ENV_SOURCES = [
  ["secretKeyRef", "Secret"],
  ["configMapKeyRef", "ConfigMap"],
  ["secretRef", "Secret"],
  ["configMapRef", "ConfigMap"],
] as const;

function judgeService(set: WorkSet, service: KubeObject): void {
  const spec = mapOf(service["spec"]);
  if (!("selector" in spec)) return;
  const workloads = set.objects.filter((one) => podOf(one) !== null && set.selects(service, one));
  set.judge(service, "any workload by its selector", workloads.length > 0);
  for (const port of listOf(spec["ports"])) {
    const target = port["targetPort"] ?? port["port"];
    const isServed = workloads.some((one) => set.hasPort(one, target));
    const shown = typeof target === "string" ? target : JSON.stringify(target);
    set.judge(service, `port ${shown} of its pods`, isServed);
  }
}

/** A ReadWriteOnce claim of two workloads keeps one of them from starting on another machine. */
function judgeClaims(set: WorkSet): void {
  for (const claim of set.objects.filter(({ kind }) => kind === "PersistentVolumeClaim")) {
    const users = set.objects.filter((one) => {
      const volumes = listOf(podOf(one)?.["volumes"]);
      const isHere = one.metadata.namespace === claim.metadata.namespace;
      return isHere && volumes.some((volume) => claimOf(volume) === claim.metadata.name);
    });
    if (users.length === 0) set.refuse(claim, "no workload uses it");
    const modes = JSON.stringify(mapOf(claim["spec"])["accessModes"]);
    if (users.length > 1 && modes === '["ReadWriteOnce"]') {
      set.refuse(claim, `is ReadWriteOnce and used by ${users.map(nameOf).join(" and ")}`);
    }
  }
}

const claimOf = (volume: Piece): string =>
  textOf(mapOf(volume["persistentVolumeClaim"])["claimName"]);
