/**
 * A proxy before moto that adds what moto lacks of EC2: client tokens, refusals, lost and late
 * replies, lists that lag, small pages, ends by the cloud, planned events. Each request, and each
 * reply that it makes or changes, is judged by botocore's model; `audit` reports what that found.
 */
import type { InstanceId } from "../../../../schema/id.ts";
import type { CreateRequest, Instance } from "../../../../reconciler/core/provider.ts";
import { instanceOf } from "../../../../reconciler/provider/aws/instance.ts";
import { itemsAt, parseXml, textAt, type Xml } from "../../../../reconciler/provider/aws/xml.ts";
import { FaultBook, type Faults } from "../../../../reconciler/provider/fake/fault.ts";
import type { Reality } from "../../../../reconciler/provider/fake/reality.ts";
import { lose, type Loss } from "./loss.ts";
import type { Moto } from "./moto.ts";
import { answerQuota } from "./quota.ts";
import {
  errorOf,
  formatXml,
  leaf,
  list,
  node,
  refusalOf,
  reply,
  setChild,
  type Wire,
} from "./wire.ts";

export const EC2_KEY = "AKIATESTTESTTESTTEST";
export const EC2_SECRET = "secret/test+key";

export type Ec2Call = { action: string; form: Record<string, string>; host: string };

type Made = {
  instance: Instance;
  token: string;
  nodeId: string;
  madeAtMs: number;
  endedAtMs: number | null;
  end: { code: string; message: string } | null;
};

export class Ec2Proxy {
  readonly calls: Ec2Call[] = [];
  /** Answers the next call in place of the cloud, which is not asked. */
  next: Wire | Loss | null = null;
  loss: Loss = "html";
  rowsMax = 1_000;
  /** Of planned events, by instance. */
  readonly events = new Map<string, { code: string; description: string; notBefore: string }>();
  readonly consoles = new Map<string, string>();
  /** Instances left of each reservation, and whether it is a capacity block. */
  readonly reservations = new Map<string, { left: number; isBlock: boolean }>();
  /** Of Service Quotas, by code; absent = the account has the default. */
  readonly quotas = new Map<string, number>();
  readonly violations: string[] = [];
  readonly #moto: Moto;
  readonly #wallMs: () => number;
  readonly #book: FaultBook;
  readonly #tokens = new Map<string, { body: string; id: InstanceId }>();
  readonly #made = new Map<string, Made>();
  readonly #overlaps: Reality["overlaps"] = [];
  #late: { atMs: number; request: Request; form: URLSearchParams }[] = [];
  #asks = 0;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(moto: Moto, wallMs: () => number) {
    this.#moto = moto;
    this.#wallMs = wallMs;
    this.#book = new FaultBook({}, () => 0.5);
    this.#server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      development: false,
      // One at a time: two requests with one token are told apart by their order.
      fetch: (request) => {
        const answered = this.#turn.then(() => this.#answer(request));
        this.#turn = answered.catch(() => undefined);
        return answered;
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  setFaults(faults: Faults): void {
    this.#book.set(faults);
  }

  /** The cloud itself ends an instance. */
  async end(id: string, code: string, message: string): Promise<void> {
    const made = this.#made.get(id);
    if (made === undefined) throw new Error(`no instance ${id}`);
    await this.#ask(new URLSearchParams({ Action: "TerminateInstances", "InstanceId.1": id }));
    Object.assign(made, { endedAtMs: this.#wallMs(), end: { code, message } });
  }

  /** Switches an instance's termination protection, as a person does in the cloud's console. */
  async protect(id: string, isProtected: boolean): Promise<void> {
    const asked = { Action: "ModifyInstanceAttribute", InstanceId: id };
    const value = { "DisableApiTermination.Value": String(isProtected) };
    const answer = await this.#ask(new URLSearchParams({ ...asked, ...value }));
    if (answer.status !== 200) throw new Error(await answer.text());
  }

  reality(): Reality {
    const all = [...this.#made.values()];
    const byToken = Map.groupBy(all, ({ token }) => token);
    return {
      live: all.filter((one) => one.endedAtMs === null).map((one) => one.instance),
      terminated: all.filter((one) => one.endedAtMs !== null).map((one) => one.instance),
      asks: this.#asks,
      pending: this.#late.filter(({ atMs }) => atMs > this.#wallMs()).length,
      doubles: [...byToken]
        .filter(([, made]) => made.length > 1)
        .map(([token, made]) => ({ token, ids: made.map(({ instance }) => instance.id) })),
      overlaps: this.#overlaps,
    };
  }

  /** What moto has that this journal does not, and what botocore's model refused. */
  async audit(): Promise<string[]> {
    await this.land(Number.POSITIVE_INFINITY);
    const all = await this.#ask(new URLSearchParams({ Action: "DescribeInstances" }));
    const live = instancesIn(parseXml(await all.text()))
      .filter((item) => textAt(item, "instanceState", "name") !== "terminated")
      .map((item) => textAt(item, "instanceId"));
    const known = this.reality().live.map(({ id }) => String(id));
    const odd = live.filter((id) => id === null || !known.includes(id));
    const lost = known.filter((id) => !live.includes(id));
    return [
      ...this.violations,
      ...odd.map((id) => `moto has ${id}, which nothing asked for`),
      ...lost.map((id) => `moto has lost ${id}`),
      ...this.reality().doubles.map(({ token }) => `${token} bought twice`),
    ];
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    const body = await request.text();
    const headers = Object.fromEntries(request.headers);
    if (headers["x-amz-target"] !== undefined) {
      const asked = { url: request.url, headers, body, secrets: { [EC2_KEY]: EC2_SECRET } };
      return answerQuota(this.#moto, asked, this.quotas, this.violations);
    }
    const form = new URLSearchParams(body);
    const action = form.get("Action") ?? "";
    this.calls.push({ action, form: Object.fromEntries(form), host: headers["host"] ?? "" });
    const secrets = { [EC2_KEY]: EC2_SECRET };
    const found = { kind: "request" as const, url: request.url, body, headers, secrets };
    this.violations.push(...(await this.#moto.judge(found)).map((one) => `${action}: ${one}`));
    await this.land();
    const { next } = this;
    this.next = null;
    if (typeof next === "string") return lose(next);
    const wire = next ?? (await this.#handle(action, form, request));
    return typeof wire === "string" ? lose(wire) : this.#say(action, wire);
  }

  async #say(action: string, { status, xml }: Wire): Promise<Response> {
    const body = formatXml(xml);
    const said = await this.#moto.judge({ kind: "reply", action, status, body });
    this.violations.push(...said.map((one) => `reply of ${action}: ${one}`));
    return new Response(body, { status, headers: { "content-type": "text/xml" } });
  }

  #handle(action: string, form: URLSearchParams, request: Request): Promise<Wire | Loss> {
    const isKeyWrong = !request.headers.get("authorization")?.includes(`=${EC2_KEY}/`);
    if (isKeyWrong) return Promise.resolve(refusalOf("auth"));
    switch (action) {
      case "RunInstances":
        return form.get("DryRun") === "true" ? this.#forward(form) : this.#run(form, request);
      case "TerminateInstances":
        return this.#terminate(form);
      case "DescribeInstances":
        return form.get("DryRun") === "true" ? this.#forward(form) : this.#describe(form);
      case "DescribeInstanceStatus":
        return this.#status(form);
      case "DescribeCapacityReservations":
        return Promise.resolve(this.#reservation(form.get("CapacityReservationId.1") ?? ""));
      case "GetConsoleOutput":
        return Promise.resolve(this.#console(form.get("InstanceId") ?? ""));
      default:
        return this.#forward(form);
    }
  }

  /** Of a signature, moto reads only the region. */
  #ask(form: URLSearchParams): Promise<Response> {
    const scope = "20260101/us-east-1/ec2/aws4_request";
    const authorization = `AWS4-HMAC-SHA256 Credential=${EC2_KEY}/${scope}, Signature=0`;
    if (!form.has("Version")) form.set("Version", "2016-11-15");
    const headers = { authorization, "content-type": "application/x-www-form-urlencoded" };
    return fetch(this.#moto.url, { method: "POST", headers, body: form.toString() });
  }

  async #forward(form: URLSearchParams): Promise<Wire | Loss> {
    const answer = await this.#ask(form);
    const xml = parseXml(await answer.text());
    return xml === null ? "html" : { status: answer.status, xml };
  }

  async #run(form: URLSearchParams, request: Request): Promise<Wire | Loss> {
    this.#asks += 1;
    const fate = this.#book.create(requestOf(form), this.#wallMs());
    if (fate.door !== null) return refusalOf(fate.door.class, fate.door.message);
    if (fate.askLost) return this.loss;
    if (fate.landDelayMs > 0) {
      this.#late.push({ atMs: this.#wallMs() + fate.landDelayMs, request, form });
      return this.loss;
    }
    const again = await this.#repeated(form);
    if (again !== null) return fate.replyLost ? this.loss : again;
    if (fate.refusal !== null) return refusalOf(fate.refusal.class, fate.refusal.message);
    const wire = await this.#buy(form);
    if (fate.answerDelayMs > 0) await Bun.sleep(fate.answerDelayMs);
    return fate.replyLost ? this.loss : wire;
  }

  /** EC2 scopes a token by the zone that the request names. */
  async #repeated(form: URLSearchParams): Promise<Wire | Loss | null> {
    const known = this.#tokens.get(scopeOf(form));
    if (known === undefined) return null;
    if (known.body !== bodyOf(form)) return errorOf(400, "IdempotentParameterMismatch");
    const made = this.#made.get(known.id);
    if (made?.endedAtMs !== null) return errorOf(400, "IdempotentInstanceTerminated");
    const ask = new URLSearchParams({ Action: "DescribeInstances", "InstanceId.1": known.id });
    const described = await this.#forward(ask);
    if (typeof described === "string") return described;
    const [reservation] = itemsAt(described.xml, "reservationSet");
    return reply("RunInstances", reservation?.children ?? []);
  }

  async #buy(form: URLSearchParams): Promise<Wire | Loss> {
    const wire = await this.#forward(form);
    const [item] = typeof wire === "string" ? [] : itemsAt(wire.xml, "instancesSet");
    const instance = item === undefined ? null : instanceOf(item, "us-east-1");
    if (instance === null) return wire;
    const token = form.get("ClientToken") ?? "";
    const nodeId = instance.tags["navarch-node"] ?? "";
    this.#tokens.set(scopeOf(form), { body: bodyOf(form), id: instance.id });
    const twin = [...this.#made.values()].find((one) => {
      return one.nodeId === nodeId && one.endedAtMs === null;
    });
    const atMs = this.#wallMs();
    if (twin !== undefined) {
      this.#overlaps.push({ nodeId, ids: [twin.instance.id, instance.id], atMs });
    }
    const running = { ...instance, state: "running" as const };
    const made = { instance: running, token, nodeId, madeAtMs: atMs, endedAtMs: null, end: null };
    this.#made.set(instance.id, made);
    return wire;
  }

  /** What lands late takes effect when its time has come. */
  async land(untilMs = this.#wallMs()): Promise<void> {
    const due = this.#late.filter(({ atMs }) => atMs <= untilMs);
    this.#late = this.#late.filter(({ atMs }) => atMs > untilMs);
    for (const { form } of due) {
      if ((await this.#repeated(form)) === null) await this.#buy(form);
    }
  }

  async #terminate(form: URLSearchParams): Promise<Wire | Loss> {
    const fate = this.#book.terminate();
    if (fate.door !== null) return refusalOf(fate.door.class, fate.door.message);
    if (fate.failed) return this.loss;
    const id = form.get("InstanceId.1") ?? "";
    if (fate.notFound) return errorOf(400, "InvalidInstanceID.NotFound", `no ${id}`);
    const wire = await this.#forward(form);
    const made = this.#made.get(id);
    const isEnded = typeof wire !== "string" && wire.status === 200;
    if (made !== undefined && isEnded) made.endedAtMs ??= this.#wallMs();
    return fate.replyLost ? this.loss : wire;
  }

  async #describe(form: URLSearchParams): Promise<Wire | Loss> {
    const fate = this.#book.list();
    if (fate.failure === "unavailable") return errorOf(503, "Unavailable");
    if (fate.failure !== null) return refusalOf(fate.failure);
    const token = takeFilter(form, "client-token");
    const from = Number(form.get("NextToken") ?? 0);
    for (const key of ["MaxResults", "NextToken"]) form.delete(key);
    const wire = await this.#forward(form);
    if (typeof wire === "string" || wire.status !== 200) return wire;
    const sinceMs = this.#wallMs() - (fate.lagMs ?? 0);
    const shown = itemsAt(wire.xml, "reservationSet").filter((reservation) => {
      const items = itemsAt(reservation, "instancesSet").filter((item) => {
        const isNamed = token === null || textAt(item, "clientToken") === token;
        return isNamed && !fate.empty && this.#show(item, sinceMs);
      });
      setChild(reservation, node("instancesSet", items));
      return items.length > 0;
    });
    const all = fate.duplicate ? [...shown, ...shown] : shown;
    const until = from + this.rowsMax;
    const set = list("reservationSet", all.slice(from, until));
    const more = until < all.length ? [leaf("nextToken", String(until))] : [];
    return reply("DescribeInstances", [set, ...more]);
  }

  /** Whether a list of that age has it; changes what has happened since. */
  #show(item: Xml, sinceMs: number): boolean {
    const made = this.#made.get(textAt(item, "instanceId") ?? "");
    if (made === undefined) return true;
    if (made.madeAtMs > sinceMs) return false;
    if (made.endedAtMs !== null && made.endedAtMs > sinceMs) {
      setChild(item, node("instanceState", [leaf("code", "16"), leaf("name", "running")]));
      setChild(item, node("stateReason", []));
    } else if (made.end !== null) {
      const { code, message } = made.end;
      setChild(item, node("stateReason", [leaf("code", code), leaf("message", message)]));
    }
    return true;
  }

  async #status(form: URLSearchParams): Promise<Wire | Loss> {
    const isFiltered = takeFilter(form, "event.code") !== null;
    const from = Number(form.get("NextToken") ?? 0);
    for (const key of ["MaxResults", "NextToken"]) form.delete(key);
    const wire = await this.#forward(form);
    if (typeof wire === "string" || wire.status !== 200) return wire;
    const all = itemsAt(wire.xml, "instanceStatusSet").filter((item) => {
      const event = this.events.get(textAt(item, "instanceId") ?? "");
      if (event === undefined) return !isFiltered;
      const fields = Object.entries(event).map(([name, text]) => leaf(name, text));
      setChild(item, list("eventsSet", [node("item", fields)]));
      return true;
    });
    const until = from + this.rowsMax;
    const more = until < all.length ? [leaf("nextToken", String(until))] : [];
    const set = list("instanceStatusSet", all.slice(from, until));
    return reply("DescribeInstanceStatus", [set, ...more]);
  }

  #reservation(id: string): Wire {
    const known = this.reservations.get(id);
    if (known === undefined) return errorOf(400, "InvalidCapacityReservationId.NotFound");
    const fields = {
      capacityReservationId: id,
      instanceType: "p5.48xlarge",
      availableInstanceCount: String(known.left),
      state: "active",
      reservationType: known.isBlock ? "capacity-block" : "default",
    };
    const item = Object.entries(fields).map(([name, text]) => leaf(name, text));
    const set = list("capacityReservationSet", [node("item", item)]);
    return reply("DescribeCapacityReservations", [set]);
  }

  #console(id: string): Wire {
    if (!this.#made.has(id)) return errorOf(400, "InvalidInstanceID.NotFound");
    const output = Buffer.from(this.consoles.get(id) ?? "").toString("base64");
    const fields = [leaf("instanceId", id), leaf("timestamp", "2026-11-23T00:00:00.000Z")];
    const shown = output === "" ? [] : [leaf("output", output)];
    return reply("GetConsoleOutput", [...fields, ...shown]);
  }
}

const instancesIn = (root: Xml | null): Xml[] =>
  itemsAt(root ?? undefined, "reservationSet").flatMap((one) => itemsAt(one, "instancesSet"));

const scopeOf = (form: URLSearchParams): string =>
  `${form.get("ClientToken")} ${form.get("Placement.AvailabilityZone") ?? ""}`;

const bodyOf = (form: URLSearchParams): string => [...form].map(String).sort().join("\n");

/** What faults are chosen by. */
function requestOf(form: URLSearchParams): CreateRequest {
  const place = { region: "us-east-1", zone: form.get("Placement.AvailabilityZone") };
  const market = { market: "on-demand", reservation: null } as const;
  const instanceType = form.get("InstanceType") ?? "";
  const rest = { token: "", name: "", nodeId: "", tags: {}, sshKeys: [] };
  return { ...place, ...market, instanceType, ...rest };
}

/** The first value of a filter that moto does not know; the filter is taken out. */
function takeFilter(form: URLSearchParams, name: string): string | null {
  const isIt = (at: string, value: string) => /^Filter\.\d+\.Name$/.test(at) && value === name;
  const key = [...form].find(([at, value]) => isIt(at, value))?.[0];
  if (key === undefined) return null;
  const start = key.replace(/Name$/, "");
  const value = form.get(`${start}Value.1`);
  for (const at of [...form.keys()]) if (at.startsWith(start)) form.delete(at);
  return value;
}
