/**
 * One call of EC2's query API (docs/reference/aws.md#requests): paced, signed, bounded, and its
 * failure as one of the port's classes. Never retries.
 *
 * Adapter: network.
 */
import * as v from "valibot";
import type { Clock } from "../../core/clock.ts";
import { Bucket, type Rate } from "../../core/turn/bucket.ts";
import { pause } from "../../core/turn/time-limit.ts";
import type { Credentials } from "./credential.ts";
import { classOf, type Failed, failed, isStaleKey } from "./failure.ts";
import { send } from "./http.ts";
import { sign } from "./sign.ts";
import { find, parseXml, textAt, type Xml } from "./xml.ts";

const VERSION = "2016-11-15";
const CALL_MS = 30_000;
/** A call waits this long for its turn; beyond it the caller learns when to come back. */
const PATIENCE_MS = 10_000;
const SHOWN_CHARS = 200;
const PAGES_MAX = 500;
/** A page of 250 instances, one megabyte, is read in less than 50 ms. */
const PAGE_ROWS = 250;

export type Param = string | number | boolean | null | Param[] | { [key: string]: Param };
export type Params = { [key: string]: Param };
export type Got<T = Xml> = { kind: "ok"; data: T } | Failed;

/** Calls a second, and how many may come at once: EC2 counts these kinds apart. */
export type Rates = { launch: Rate; end: Rate; read: Rate };

type Sent = { service: string; endpoint: string; headers: Record<string, string>; body: string };

export type Ec2ApiOptions = {
  endpoint: string;
  region: string;
  credentials: Credentials;
  rates: Rates;
  clock: Clock;
};

export class Ec2Api {
  readonly #options: Ec2ApiOptions;
  readonly #turns: Readonly<Record<keyof Rates, Bucket>>;

  constructor(options: Ec2ApiOptions) {
    const { launch, end, read } = options.rates;
    this.#options = options;
    this.#turns = { launch: new Bucket(launch), end: new Bucket(end), read: new Bucket(read) };
  }

  /** The root of the reply. Rejects never. */
  async call(action: string, params: Params, kind: keyof Rates = "read"): Promise<Got> {
    const type = "application/x-www-form-urlencoded; charset=utf-8";
    const body = formOf({ Action: action, Version: VERSION, ...params });
    const { endpoint } = this.#options;
    const to = { service: "ec2", endpoint, headers: { "content-type": type }, body };
    return this.#send(action, to, kind, (status, text) => readReply(action, status, text));
  }

  /** The same of AWS's APIs that speak JSON; `prefix` is the API's version. */
  callJson(to: { service: string; endpoint: string; prefix: string }, action: string, ask: object) {
    const { service, endpoint, prefix } = to;
    const type = { "content-type": "application/x-amz-json-1.1" };
    const headers = { ...type, "x-amz-target": `${prefix}.${action}` };
    const sent = { service, endpoint, headers, body: JSON.stringify(ask) };
    return this.#send(action, sent, "read", (status, text) => readJson(action, status, text));
  }

  async #send<T>(
    action: string,
    { service, endpoint, headers, body }: Sent,
    kind: keyof Rates,
    read: (status: number, text: string) => Got<T>,
  ): Promise<Got<T>> {
    const turns = this.#turns[kind];
    const mono = this.#options.clock.monoMs();
    // A purchase is refused rather than kept: its fence is checked when it is sent.
    const turnMs = turns.reserve(mono, kind === "launch" ? 0 : PATIENCE_MS);
    if (turnMs === null) {
      const why = `${action}: waiting for a turn: the account's rate for such calls is used up`;
      return { ...failed("rate_limit", why), retryAfterMs: turns.waitMs(mono) };
    }
    if (turnMs > 0) await pause(this.#options.clock, turnMs);
    const { clock, credentials, region } = this.#options;
    const key = await credentials.get();
    if (key.kind === "failed") return { ...key, message: `${action}: ${key.message}` };
    const request = { method: "POST" as const, url: new URL(endpoint), body, headers };
    const signed = sign(request, { service, region, atMs: clock.wallMs() }, key.key);
    const reply = await send({ ...request, what: action, headers: signed, limitMs: CALL_MS });
    if (reply.kind === "failed") return reply;
    const answer = read(reply.status, reply.text);
    if (answer.kind === "ok" || !isStaleKey(answer)) return answer;
    credentials.forget();
    return { ...answer, message: `${answer.message} (credentials of ${key.source})` };
  }

  /** The entries of the list `path` on all pages. */
  async pages(action: string, params: Params, path: string): Promise<Got<Xml[]>> {
    const all: Xml[] = [];
    const seen = new Set<string>();
    let next: string | null = null;
    for (let page = 0; page < PAGES_MAX; page++) {
      const answer: Got = await this.call(action, {
        MaxResults: PAGE_ROWS,
        ...params,
        NextToken: next,
      });
      if (answer.kind === "failed") return answer;
      const list = find(answer.data, path);
      // Also an empty list is there, as an empty element.
      if (list === undefined) return failed("unknown", `${action}: the reply has no ${path}`);
      all.push(...list.children);
      next = textAt(answer.data, "nextToken");
      if (next === null) return { kind: "ok", data: all };
      if (seen.has(next)) break;
      seen.add(next);
    }
    return failed("unknown", `${action}: its pages do not end`);
  }
}

/** Lists count from 1; `null` is left out. */
export function formOf(params: Params): string {
  const form = new URLSearchParams();
  const put = (key: string, value: Param): void => {
    if (value === null) return;
    if (typeof value !== "object") return void form.append(key, String(value));
    const below: [string, Param][] = Array.isArray(value)
      ? value.map((one, index) => [String(index + 1), one])
      : Object.entries(value);
    for (const [name, one] of below) put(key === "" ? name : `${key}.${name}`, one);
  };
  put("", params);
  return form.toString();
}

export function readReply(action: string, status: number, text: string): Got {
  const root = parseXml(text);
  // Gateways before the service answer in the form of AWS's other APIs.
  const error = find(root ?? undefined, "Errors", "Error") ?? find(root ?? undefined, "Error");
  const code = textAt(error, "Code");
  if (code !== null) {
    const said = textAt(error, "Message") ?? "";
    const hint = hintFor(action, code);
    return failed(classOf(code), `${action}: ${code}: ${said.slice(0, SHOWN_CHARS)}${hint}`, code);
  }
  if (status < 200 || status >= 300) return failed("unknown", `${action}: HTTP ${status}`);
  if (root?.name === `${action}Response`) return { kind: "ok", data: root };
  return failed("unknown", `${action}: ${status} without a ${action}Response`);
}

const JsonError = v.object({
  __type: v.string(),
  message: v.nullish(v.string(), ""),
});

function readJson(action: string, status: number, text: string): Got<unknown> {
  const read = v.safeParse(v.pipe(v.string(), v.parseJson()), text);
  if (!read.success) return failed("unknown", `${action}: HTTP ${status} without JSON`);
  if (status >= 200 && status < 300) return { kind: "ok", data: read.output };
  const error = v.safeParse(JsonError, read.output);
  if (!error.success) return failed("unknown", `${action}: HTTP ${status}`);
  const code = error.output.__type.replace(/^.*#/, "");
  const said = (error.output.message ?? "").slice(0, SHOWN_CHARS);
  return failed(classOf(code), `${action}: ${code}: ${said}`, code);
}

function hintFor(action: string, code: string): string {
  if (code === "UnauthorizedOperation") return `; allow ec2:${action} in the IAM policy`;
  if (code === "RequestExpired") return "; check this machine's clock";
  if (classOf(code) === "quota") return "; raise it in Service Quotas, or choose another type";
  if (code === "OptInRequired") return "; subscribe the account to it";
  return "";
}
