/**
 * The files under `deploy/` as the objects they hold, for tests that compare them. Adapter: files
 * and child processes.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parseAllDocuments } from "yaml";
import { ROOT } from "../../build/product.ts";
import { binaryPath } from "../real/kubernetes/binary.ts";

export const DEPLOY = join(ROOT, "deploy");
export const GUIDE = join(ROOT, "test/fixture/kubernetes");

export type Labels = Record<string, string>;

/** What every object has, and what some kinds have. Files are taken for what they claim to be. */
export type KubeObject = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Labels };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  rules?: {
    apiGroups: string[];
    resources: string[];
    resourceNames?: string[];
    verbs: string[];
  }[];
  subjects?: { kind: string; name: string; namespace: string }[];
  roleRef?: { kind: string; name: string };
  automountServiceAccountToken?: boolean;
};

type Source = { name?: string; secretName?: string; optional?: boolean };
type Sources = {
  configMap?: Source;
  secret?: Source;
  persistentVolumeClaim?: { claimName: string };
  serviceAccountToken?: { audience: string; expirationSeconds: number; path: string };
};
type Probe = { httpGet: { path: string; port: string } };
export type Toleration = { key: string; operator: string; effect?: string };

export type Container = {
  image: string;
  args: string[];
  env: {
    name: string;
    value?: string;
    valueFrom?: { secretKeyRef?: { name: string; key: string; optional?: boolean } };
  }[];
  ports: { name: string; containerPort: number }[];
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
  securityContext: Record<string, unknown>;
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
};

type Affine = { podAffinityTerm: { labelSelector: { matchLabels: Labels } } };

export type Pod = {
  serviceAccountName: string;
  automountServiceAccountToken?: boolean;
  securityContext: Record<string, unknown>;
  hostPID?: boolean;
  hostNetwork?: boolean;
  hostIPC?: boolean;
  containers: [Container];
  volumes: (Sources & { name: string; projected?: { sources: Sources[] } })[];
  tolerations: Toleration[];
  affinity: {
    podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [Affine] };
  };
};

/** A Deployment or a DaemonSet. */
export type Workload = KubeObject & {
  spec: {
    replicas?: number;
    strategy?: { type: string };
    selector: { matchLabels: Labels };
    template: { metadata: { labels: Labels }; spec: Pod };
  };
};

export type Service = KubeObject & {
  spec: {
    selector: Labels;
    ports: { name: string; port: number; targetPort: string; appProtocol?: string }[];
  };
};

export type Selecting = KubeObject & { spec: { selector: { matchLabels: Labels } } };
export type Monitor = Selecting & { spec: { endpoints: [{ port: string; path: string }] } };

type Peer = { podSelector?: { matchLabels: Labels } };
export type NetworkPolicy = KubeObject & {
  spec: {
    podSelector: { matchLabels: Labels };
    ingress?: [{ from: Peer[]; ports: [{ port: string }] }];
  };
};

/** The documents of one YAML stream; an empty one is none. */
export function parseDocuments(text: string): unknown[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [problem] = document.errors;
    if (problem !== undefined) throw problem;
    const value: unknown = document.toJS();
    return value === null ? [] : [value];
  });
}

/** The same, of documents that are objects of Kubernetes. */
export function parseObjects(text: string): KubeObject[] {
  return parseDocuments(text) as KubeObject[];
}

/** `overlay/ha/patch.yaml`, below `deploy/`. */
export function readObjects(path: string): KubeObject[] {
  return parseObjects(readFileSync(join(DEPLOY, path), "utf8"));
}

/** What `kubectl apply -f deploy/` reads: that folder and none below it. */
export function plainFiles(): string[] {
  return readdirSync(DEPLOY, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && /\.(ya?ml|json)$/.test(entry.name))
    .map((entry) => entry.name)
    .sort();
}

export function plainObjects(): KubeObject[] {
  return plainFiles().flatMap(readObjects);
}

/** `Deployment/navarch/navarch-control-plane`. */
export function keyOf({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
}

/** By kind, and by name where there are several of a kind. Throws unless there is exactly one. */
export function one<T extends KubeObject = KubeObject>(
  objects: readonly KubeObject[],
  kind: string,
  name?: string,
): T {
  const found = objects.filter((object) => {
    return object.kind === kind && (name === undefined || object.metadata.name === name);
  });
  const [first] = found;
  if (first === undefined || found.length > 1) {
    throw new Error(`${found.length} of ${kind} ${name ?? ""}`);
  }
  return first as T;
}

/** A map from `keyOf` to the object; throws on two of one key. */
export function byKey(objects: readonly KubeObject[]): Record<string, KubeObject> {
  const map: Record<string, KubeObject> = {};
  for (const object of objects) {
    const key = keyOf(object);
    if (key in map) throw new Error(`two of ${key}`);
    map[key] = object;
  }
  return map;
}

/** What a selector of labels, as in `matchLabels`, finds among these labels. */
export function isSelected(selector: Labels | undefined, labels: Labels | undefined): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => labels?.[key] === value);
}

/** Runs a program that is expected to succeed, and answers with what it printed. */
export function runTool(command: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd: ROOT });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${exitCode}\n${stderr}${stdout}`);
  return stdout.toString();
}

/** The plain manifests with these components, as kubectl's own kustomize makes them. */
export function assembled(...components: readonly string[]): KubeObject[] {
  const folder = mkdtempSync(join(tmpdir(), "navarch-overlay-"));
  try {
    const from = (path: string): string => relative(folder, join(DEPLOY, path));
    const text = JSON.stringify({ resources: [from("")], components: components.map(from) });
    writeFileSync(join(folder, "kustomization.yaml"), text);
    return parseObjects(runTool([binaryPath("kubectl"), "kustomize", folder]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The pods' lists by name: an overlay puts what it changes first, the chart leaves it in place. */
export function sorted(objects: Record<string, KubeObject>): Record<string, KubeObject> {
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  for (const kind of ["Deployment", "DaemonSet"]) {
    const pod = one<Workload>(Object.values(objects), kind).spec.template.spec;
    for (const list of [pod.volumes, pod.containers[0].volumeMounts]) list.sort(byName);
  }
  return objects;
}
