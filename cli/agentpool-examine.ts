/**
 * What `doctor agentpool` finds in a cluster: definition, permissions, and of each pool its rules,
 * its template, ConfigMaps and pods. It reads; the pod that it creates is a dry run.
 */
import { AGENT_POOL_CRD } from "../deploy/agentpool/crd.ts";
import { POOL_RIGHTS } from "../deploy/agentpool/rbac.ts";
import { lookForConfigMaps } from "../reconciler/agentpool/config-map.ts";
import { checkPod } from "../reconciler/agentpool/pod-call.ts";
import { podsPath } from "../reconciler/agentpool/pod-request.ts";
import { type HeldPool, readPool } from "../reconciler/agentpool/read-pool.ts";
import { readWorkerPod } from "../reconciler/agentpool/read-worker-pod.ts";
import { poolsPath } from "../reconciler/agentpool/status-body.ts";
import type { Clock } from "../reconciler/core/clock.ts";
import type { KubeAnswer, KubeApi } from "../reconciler/kubernetes/api.ts";
import { type Account, checkPermissions } from "../reconciler/kubernetes/permission.ts";
import { formatPermission } from "../reconciler/kubernetes/permission.ts";
import { readList, readObject, readText } from "../reconciler/kubernetes/read-field.ts";
import { AGENT_POOL, WORKER_LABEL } from "../schema/agentpool-resource.ts";
import { nearest } from "../schema/nearest.ts";
import { bad, type Diagnosis, ok } from "./diagnosis-row.ts";

export type PoolDoctor = {
  api: KubeApi;
  clock: Clock;
  /** Whose permissions are asked for; `null` = those of this program's own credentials. */
  account: Account | null;
  /** Empty = all. */
  namespaces: readonly string[];
  /** `null` = every pool there. */
  name: string | null;
};

const CALL_MS = 10_000;
const INSTALL = "navarch manifests crd | kubectl apply -f -";
/** The account and the namespaces decide which file has the rules. */
function grant({ account, namespaces }: Pick<PoolDoctor, "account" | "namespaces">): string {
  const who = account === null ? "" : ` --account ${account.namespace}/${account.name}`;
  const where = namespaces.length === 0 ? "" : ` --in ${namespaces.join(",")}`;
  return `navarch manifests agentpool${who}${where} | kubectl apply -f -`;
}
const LABELS = "give spec.template.metadata.labels at least one label, and correct the fields";
const UNSERVED =
  "is provisioners: [{kubernetes: {namespace: …}}] in the configuration, with this namespace?";
const STATES = ["InvalidTemplate", "Draining", "Gated", "ScaleUpBlocked", "AtMax"];

const get = (api: KubeApi, path: string, query: Record<string, string> = {}) =>
  api.call({ verb: "get", path, query, timeoutMs: CALL_MS, lane: "read" });

export async function examineAgentPools(doctor: PoolDoctor): Promise<Diagnosis[]> {
  const rows = [await examineDefinition(doctor.api)];
  const places = doctor.namespaces.length === 0 ? [null] : doctor.namespaces;
  for (const namespace of places) rows.push(await examineRights(doctor, namespace));
  if (rows[0]?.outcome === "fail") return rows;
  for (const namespace of places) rows.push(...(await examinePools(doctor, namespace)));
  return rows;
}

const inPlace = (namespace: string | null): string =>
  namespace === null ? "" : ` in namespace ${namespace}`;

async function examineDefinition(api: KubeApi): Promise<Diagnosis> {
  const check = "definition";
  const place = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  const answer = await get(api, `${place}/${AGENT_POOL.crd}`);
  if (answer.kind !== "ok") {
    if (isAbsent(answer)) return bad("fail", check, `no CRD ${AGENT_POOL.crd}`, INSTALL);
    const what = `the CRD ${AGENT_POOL.crd} cannot be read`;
    return bad(answer.kind === "lost" ? "fail" : "warn", check, `${what}: ${answer.message}`, null);
  }
  const { spec, status } = readObject(answer.body);
  const conditions = readList(readObject(status)["conditions"]).map((one) => readObject(one));
  const established = conditions.find(({ type }) => type === "Established");
  if (established?.["status"] !== "True") {
    const why = readText(established?.["message"]) ?? "the server has not accepted it yet";
    return bad("fail", check, `the CRD ${AGENT_POOL.crd} is not established: ${why}`, INSTALL);
  }
  if (contains(spec, AGENT_POOL_CRD.spec)) return ok(check, `${AGENT_POOL.crd} is current`);
  const what = `the CRD ${AGENT_POOL.crd} is not the one of this release`;
  return bad("warn", check, what, INSTALL);
}

const isAbsent = (answer: KubeAnswer): boolean =>
  answer.kind === "refused" && answer.status === 404;

/** Whether `whole` has every field of `part`; the server adds defaults. */
function contains(whole: unknown, part: unknown): boolean {
  if (typeof part !== "object" || part === null) return whole === part;
  if (Array.isArray(part)) {
    const list = readList(whole);
    return list.length === part.length && part.every((one, i) => contains(list[i], one));
  }
  const fields = readObject(whole);
  return Object.entries(part).every(([key, value]) => contains(fields[key], value));
}

async function examineRights(doctor: PoolDoctor, namespace: string | null): Promise<Diagnosis> {
  const { api, account } = doctor;
  const check = "permissions";
  const wanted = POOL_RIGHTS.map(({ isOfCluster, ...right }) => {
    return { ...right, namespace: isOfCluster ? null : namespace, use: "AgentPools" };
  });
  const { missing, unknown } = await checkPermissions(api, wanted, account);
  const who = account === null ? "this account" : `${account.namespace}/${account.name}`;
  const [first] = unknown;
  if (first !== undefined) {
    const what = `the server did not say what ${who} may do: ${first.message}`;
    return bad("warn", check, what, null);
  }
  if (missing.length > 0) {
    const isAll = missing.length === wanted.length;
    const what = isAll ? "do anything for AgentPools" : missing.map(formatPermission).join(", ");
    const where = isAll ? inPlace(namespace) : "";
    return bad("fail", check, `${who} may not ${what}${where}`, grant(doctor));
  }
  return ok(check, `${who} may do what AgentPools need${inPlace(namespace)}`);
}

async function examinePools(doctor: PoolDoctor, namespace: string | null): Promise<Diagnosis[]> {
  const { api, name } = doctor;
  const check = "pools";
  const answer = await get(api, poolsPath(namespace));
  if (answer.kind !== "ok") {
    const what = `AgentPools${inPlace(namespace)} cannot be listed: ${answer.message}`;
    return [bad("fail", check, what, grant(doctor))];
  }
  const all = readList(readObject(answer.body)["items"]).flatMap((one) => readPool(one) ?? []);
  const pools = all.filter((pool) => name === null || pool.name === name);
  if (pools.length > 0) {
    const found = [];
    for (const pool of pools) found.push(...(await examinePool(doctor, pool)));
    return found;
  }
  const where = namespace === null ? "any namespace" : `namespace ${namespace}`;
  if (name === null) return [bad("warn", check, `there is no AgentPool in ${where}`, null)];
  const near = nearest(
    name,
    all.map((pool) => pool.name),
  );
  const advice = near === null ? "kubectl get agentpools -A" : `did you mean ${near}?`;
  return [bad("fail", check, `no AgentPool ${name} in ${where}`, advice)];
}

async function examinePool(doctor: PoolDoctor, pool: HeldPool): Promise<Diagnosis[]> {
  const { key } = pool;
  if (pool.problems.length > 0) {
    return pool.problems.map((problem) => bad("fail", "rules", `${key}: ${problem}`, LABELS));
  }
  return [
    await examineTemplate(doctor, pool),
    ...examineImages(pool),
    ...(await examineConfigMaps(doctor, pool)),
    ...(await examinePods(doctor, pool)),
    ...examineStatus(pool),
  ];
}

async function examineTemplate({ api, clock }: PoolDoctor, pool: HeldPool): Promise<Diagnosis> {
  const answer = await checkPod({ api, clock, seen: () => undefined }, pool);
  if (answer.kind === "ok" && answer.unknown !== undefined) {
    const what = `${pool.key}: the API server drops what it does not know: ${answer.unknown}`;
    return bad("warn", "template", what, "correct the field's name in spec.template");
  }
  if (answer.kind === "ok") return ok("template", `${pool.key}: a dry run accepts the pod`);
  const reason = answer.kind === "refused" ? `${answer.reason}: ` : "";
  const what = `${pool.key}: a dry run of the pod fails: ${reason}${answer.message}`;
  return bad(answer.kind === "lost" ? "warn" : "fail", "template", what, null);
}

/** Velda's own agent speaks another protocol: its pods run, and never join. */
const VELDA_IMAGE = /^(?:docker\.io\/)?veldaio\//;

function examineImages({ key, template }: HeldPool): Diagnosis[] {
  const containers = readList(readObject(template["spec"])["containers"]);
  const images = containers.map((one) => readText(readObject(one)["image"]) ?? "");
  return images
    .filter((image) => VELDA_IMAGE.test(image))
    .map((image) => {
      const what = `${key}: ${image} is Velda's agent, which cannot join this control plane`;
      return bad("warn", "image", what, "use an image with navarch-node as its entry");
    });
}

/** `NAME.NAMESPACE.svc…:PORT`, a name that only a Service of the cluster answers. */
const IN_CLUSTER =
  /^([a-z0-9-]{1,63})\.([a-z0-9-]{1,63})\.svc(?:\.[a-z0-9.-]{1,100})?(?::(\d{1,5}))?$/;
const LOCAL = /^(?:localhost|127\.[\d.]{1,12}|\[::1\])(?::|$)/;

async function examineAddress(
  api: KubeApi,
  { key }: HeldPool,
  { name: map, address }: { name: string; address: string },
): Promise<Diagnosis[]> {
  const host = address.replace(/^https?:\/\//, "").slice(0, 256);
  const about = `${key}: broker.address ${address} (ConfigMap ${map})`;
  const say = (what: string, next: string) => [bad("fail", "address", `${about} ${what}`, next)];
  if (LOCAL.test(host)) return say("is the worker's own pod", "name the control plane's Service");
  const [, name, namespace, port] = IN_CLUSTER.exec(host) ?? [];
  if (name === undefined || namespace === undefined) return [];
  const answer = await get(api, `/api/v1/namespaces/${namespace}/services/${name}`);
  if (isAbsent(answer)) return say(`leads to no Service: ${namespace}/${name} is missing`, SERVICE);
  if (answer.kind !== "ok") return [];
  const { ports, type } = readObject(readObject(answer.body)["spec"]);
  const open = readList(ports).map((one) => String(readObject(one)["port"]));
  // An ExternalName leads to whatever port is asked for.
  if (type === "ExternalName" || port === undefined || open.includes(port)) return [];
  return say(`leads to a port that the Service has not (${open.join(", ")})`, SERVICE);
}

const SERVICE =
  "kubectl apply -f velda-service.yaml (deploy/guide/agentpool), or correct broker.address";

async function examineConfigMaps({ api }: PoolDoctor, pool: HeldPool): Promise<Diagnosis[]> {
  const { missing, plain, unknown, addresses } = await lookForConfigMaps(api, pool);
  const { key, namespace } = pool;
  const rows = missing.map((name) => {
    const what = `${key}: ConfigMapNotFound: the template names ConfigMap ${name}`;
    return bad("fail", "config maps", `${what}, which is not in ${namespace}`, create(pool, name));
  });
  for (const { name, address } of isSecured(pool) ? [] : plain) {
    const what = `${key}: workers speak plain http to ${address} (ConfigMap ${name})`;
    rows.push(bad("warn", "connection", `${what}: their tokens can be read in transit`, SECURE));
  }
  for (const one of addresses) rows.push(...(await examineAddress(api, pool, one)));
  if (unknown !== null) rows.push(bad("warn", "config maps", `${key}: ${unknown}`, null));
  return rows;
}

const SECURE = "set server.tls on the control plane, and add its CA as ca.crt to the ConfigMap";

/** An option of the agent that makes it speak https. */
function isSecured({ template }: HeldPool): boolean {
  const containers = readList(readObject(template["spec"])["containers"]);
  const words = containers.flatMap((one) => {
    const { args, command } = readObject(one);
    return [...readList(args), ...readList(command)].map((word) => readText(word) ?? "");
  });
  return words.some((word) => /^--(ca-file|ca-fingerprint|client-cert-file|server)\b/.test(word));
}

const create = ({ namespace }: HeldPool, name: string): string =>
  `kubectl -n ${namespace} create configmap ${name} --from-file=…`;

const ADVICE = {
  unschedulable: "the scheduler's message says what no machine has: room, a label, a toleration",
  image: "correct the image, or give the pod an imagePullSecret",
  config: "kubectl describe pod shows the whole message",
  mount: "kubectl describe pod names what its volumes lack",
} as const;

async function examinePods(doctor: PoolDoctor, pool: HeldPool): Promise<Diagnosis[]> {
  const { api } = doctor;
  const { key } = pool;
  const selector = { labelSelector: `${WORKER_LABEL.pool}=${pool.name}` };
  const answer = await get(api, podsPath(pool.namespace), selector);
  if (answer.kind !== "ok") {
    return [bad("warn", "pods", `${key}: pods cannot be listed: ${answer.message}`, grant(doctor))];
  }
  const all = readList(readObject(answer.body)["items"]).flatMap((one) => readWorkerPod(one) ?? []);
  const pods = all.filter(({ ownerUid }) => ownerUid === pool.uid);
  const rows = pods.flatMap(({ name, trouble }) => {
    if (trouble === null) return [];
    return [bad("warn", "pods", `${key}: pod ${name}: ${trouble.message}`, ADVICE[trouble.kind])];
  });
  const running = pods.filter(({ phase, isDeleting }) => phase === "Running" && !isDeleting);
  return [ok("pods", `${key}: ${running.length} of ${pods.length} pods run`), ...rows];
}

/** What its control plane says of it. */
function examineStatus({ key, status, generation }: HeldPool): Diagnosis[] {
  if (status["observedGeneration"] === undefined) {
    return [bad("warn", "control plane", `${key}: no control plane reports on it`, UNSERVED)];
  }
  const behind =
    status["observedGeneration"] === generation
      ? []
      : [bad("warn", "control plane", `${key}: its last change is not acted upon yet`, null)];
  const conditions = readList(status["conditions"]).map((one) => readObject(one));
  const told = conditions.flatMap(({ type, status: is, reason, message }) => {
    const name = readText(type) ?? "";
    if (is !== "True" || !STATES.includes(name)) return [];
    const what = `${key}: ${name} (${readText(reason) ?? ""}): ${readText(message) ?? ""}`;
    return [bad("warn", "control plane", what, null)];
  });
  return [...behind, ...told];
}
