/**
 * The way to a cluster of Google Kubernetes Engine: its address and certificate authority from the
 * `container` API, and Google's access tokens as the bearer (docs/reference/agentpool.md#gke). Both
 * are asked for again, since a rotation of a cluster's credentials changes all three.
 *
 * Adapter: network.
 */
import { isIP } from "node:net";
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { withoutEndSlash } from "../../schema/end-slash.ts";
import type { Clock } from "../core/clock.ts";
import { readText, whyUnanswered } from "../core/reply.ts";
import { isPrivate } from "../core/reply.ts";
import { credentialFile, type Environment, openTokens } from "../google/default.ts";
import type { Tokens } from "../google/token.ts";
import { type OpenedTransport, REAL_CLOCK, type Transport } from "../kubernetes/connect.ts";

export type GkeSettings = { project: string; location: string; clusterName: string };
export type OpenedGke = Extract<OpenedTransport, { kind: "ok" | "failed" }>;

const ENDPOINT = "https://container.googleapis.com";
/** As gcloud names it, for private access to Google's APIs. */
const ENDPOINT_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER";
const CALL_MS = 30_000;
const BODY_BYTES_MAX = 1024 * 1024;
const TOLD_MAX = 300;
/** A rotation serves the old address beside the new one for days. */
const LOOK_MS = 10 * 60_000;
const LOOK_AGAIN_MS = 60_000;
/** Nothing else of a cluster is asked for: `masterAuth` may hold a client's key. */
const FIELDS = "status,endpoint,conditions.message,masterAuth.clusterCaCertificate";

/** Projects of an organisation's domain are written `example.com:name`. */
const PROJECT = /^[a-z0-9][a-z0-9.:-]{0,99}$/;
const NAME = /^[a-z][a-z0-9-]{0,62}$/;
/** `HOST` or `HOST:PORT`, where the host may be an IPv6 address in brackets. */
const HOST = /^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?$/;

const text = v.nullish(v.string(), "");
const Found = v.object({
  status: text,
  endpoint: text,
  conditions: v.nullish(v.array(v.object({ message: text })), []),
  masterAuth: v.nullish(v.object({ clusterCaCertificate: text }), null),
});
const Refusal = v.object({
  error: v.object({
    message: text,
    details: v.nullish(v.array(v.looseObject({ reason: v.nullish(v.unknown()) })), []),
  }),
});

type Failure = { kind: "failed"; message: string };
type Found = v.InferOutput<typeof Found>;
type Place = { server: string; ca: string; warning: string | null };

/**
 * Sends one request: an answer of `failed` may be another one a minute later. Never rejects.
 * `ports` are replaced in tests.
 */
export async function openGkeTransport(
  settings: GkeSettings,
  env: Environment,
  ports: { clock: Clock } = { clock: REAL_CLOCK },
): Promise<OpenedGke> {
  const { project, location, clusterName } = settings;
  const why = whyInvalid(settings);
  if (why !== null) return failed(why);
  const endpoint = withoutEndSlash(env[ENDPOINT_VARIABLE] || ENDPOINT);
  if (!isPrivate(endpoint)) {
    return failed(`${ENDPOINT_VARIABLE}: expected an https address, the token is sent there`);
  }
  const { clock } = ports;
  const tokens = openTokens(credentialFile(null, env), env, clock);
  const name = `projects/${project}/locations/${location}/clusters/${clusterName}`;
  const ask = () => askPlace(`${endpoint}/v1/${name}?fields=${FIELDS}`, name, tokens);
  const place = await ask();
  if ("kind" in place) return place;
  const shown = `gke ${project}/${location}/${clusterName}`;
  const transport = new GkeTransport(shown, place, ask, tokens, clock);
  return { kind: "ok", transport, warnings: place.warning === null ? [] : [place.warning] };
}

class GkeTransport implements Transport {
  readonly name: string;
  readonly #ask: () => Promise<Place | Failure>;
  readonly #tokens: Tokens;
  readonly #clock: Clock;
  #place: Place;
  #dueMono: number;
  #sent: string | null = null;

  constructor(
    name: string,
    place: Place,
    ask: () => Promise<Place | Failure>,
    tokens: Tokens,
    clock: Clock,
  ) {
    this.name = name;
    this.#place = place;
    this.#ask = ask;
    this.#tokens = tokens;
    this.#clock = clock;
    this.#dueMono = clock.monoMs() + LOOK_MS;
  }

  get server(): string {
    return this.#place.server;
  }

  async headers(): Promise<Record<string, string>> {
    const answer = await this.#tokens.get();
    if (answer.kind === "failed") throw new Error(answer.message);
    this.#sent = answer.token;
    return { authorization: `Bearer ${answer.token}` };
  }

  async tls(): Promise<{ ca: string }> {
    if (this.#clock.monoMs() >= this.#dueMono) void this.#look();
    return { ca: this.#place.ca };
  }

  refresh(): void {
    if (this.#sent !== null) this.#tokens.drop(this.#sent);
    this.#sent = null;
  }

  /** In the background: an API of Google that hangs must not stop calls to the cluster. */
  async #look(): Promise<void> {
    // The next attempt, if this one fails; one that hangs ends before it.
    this.#dueMono = this.#clock.monoMs() + LOOK_AGAIN_MS;
    const place = await this.#ask();
    if ("kind" in place) return;
    this.#place = place;
    this.#dueMono = this.#clock.monoMs() + LOOK_MS;
  }
}

function whyInvalid({ project, location, clusterName }: GkeSettings): string | null {
  if (!PROJECT.test(project)) return "gke.project: expected the project's id, such as gpu-prod-1";
  if (!NAME.test(location)) return "gke.location: expected a region or zone, such as us-central1";
  if (!NAME.test(clusterName)) return "gke.cluster_name: expected the name of a cluster";
  return null;
}

async function askPlace(url: string, name: string, tokens: Tokens): Promise<Place | Failure> {
  for (let again = false; ; again = true) {
    const granted = await tokens.get();
    if (granted.kind === "failed") return failed(`${name}: ${granted.message}`);
    const { token } = granted;
    const answer = await send(url, token);
    if ("why" in answer) return failed(`${name}: ${answer.why}`);
    if (answer.status === 200) return readPlace(name, answer.body);
    if (answer.status !== 401) return failed(explain(name, answer));
    tokens.drop(token);
    if (again) return failed(explain(name, answer));
  }
}

type Answer = { status: number; body: unknown };

async function send(url: string, token: string): Promise<Answer | { why: string }> {
  try {
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${token}`, accept: "application/json" },
      // A redirect would send the token to another server.
      redirect: "manual",
      signal: AbortSignal.timeout(CALL_MS),
    });
    const body = await readText(response, BODY_BYTES_MAX);
    return { status: response.status, body: parse(body) };
  } catch (error) {
    return { why: `${new URL(url).host}: ${whyUnanswered(error, CALL_MS).why}` };
  }
}

function parse(body: string | null): unknown {
  try {
    return JSON.parse(body ?? "");
  } catch {
    return null;
  }
}

function explain(name: string, { status, body }: Answer): string {
  const read = v.safeParse(Refusal, body);
  const error = read.success ? read.output.error : { message: "", details: [] };
  const isDisabled = error.details.some(({ reason }) => reason === "SERVICE_DISABLED");
  const told = plain(error.message);
  const what = `${name}: HTTP ${status}${told === "" ? "" : `: ${told}`}`;
  return `${what} (${adviceOn(status, isDisabled)})`;
}

function adviceOn(status: number, isDisabled: boolean): string {
  if (isDisabled) return "enable container.googleapis.com in the project";
  if (status === 401) return "the credential is refused: replace it or log in again";
  if (status === 403) return "grant roles/container.developer in the project, and check its id";
  if (status === 404) return "check gke.project, gke.location and gke.cluster_name";
  const isRedirect = status >= 300 && status < 400;
  if (isRedirect) return `a redirect is not followed: check ${ENDPOINT_VARIABLE}`;
  return status === 429 || status >= 500 ? "try again later" : "the request is refused";
}

/** Usable in these states: Google keeps a cluster RECONCILING for the hours of an upgrade. */
const SERVING = ["RUNNING", "RECONCILING", "DEGRADED"];

function readPlace(name: string, body: unknown): Place | Failure {
  const read = v.safeParse(Found, body);
  if (!read.success) return failed(`${name}: the reply describes no cluster`);
  const { status, endpoint } = read.output;
  const told = toldBy(read.output);
  if (!SERVING.includes(status)) {
    return failed(`${name}: the cluster is ${plain(status) || "in no state"}, not RUNNING${told}`);
  }
  const host = isIP(endpoint) === 6 ? `[${endpoint}]` : endpoint;
  if (endpoint === "") return failed(`${name}: the cluster has no endpoint yet`);
  if (!HOST.test(host) || !URL.canParse(`https://${host}`)) {
    return failed(`${name}: endpoint: expected a host, found ${plain(endpoint)}`);
  }
  const ca = readAuthority(read.output.masterAuth?.clusterCaCertificate ?? "");
  if (ca === null) {
    const what = "masterAuth.clusterCaCertificate: expected certificates in PEM as base64";
    return failed(`${name}: ${what}; without them the server cannot be verified`);
  }
  const warning = status === "DEGRADED" ? `${name}: the cluster is DEGRADED${told}` : null;
  return { server: `https://${host}`, ca, warning };
}

function toldBy({ conditions }: Found): string {
  const told = plain(conditions.map(({ message }) => message).join("; "));
  return told === "" ? "" : ` (${told})`;
}

/** `null`: no certificate. With an empty list of them, any public authority would be trusted. */
function readAuthority(encoded: string): string | null {
  const pem = Buffer.from(encoded, "base64").toString("latin1");
  try {
    return new X509Certificate(pem).ca ? pem : null;
  } catch {
    return null;
  }
}

/** One bounded line of a foreign text. */
const plain = (told: string): string =>
  told
    .replace(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(0, TOLD_MAX);

const failed = (message: string): Failure => ({ kind: "failed", message });
