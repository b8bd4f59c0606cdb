/** Lambda Cloud: the port's contract over its API, then what only this API does. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LAMBDA_KEY, PRICE_CENTS, serveLambda } from "../../../test/fixture/cloud/lambda-server.ts";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../../test/port/provider.contract.ts";
import { seeded } from "../../../simulator/engine/random.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { Place, PoolPlace } from "../../core/provider.ts";
import { openMemoryCloud } from "../fake/memory.ts";
import { type LambdaOptions, openLambda } from "./lambda.ts";
import { readLambdaSettings } from "./setting.ts";

const FENCE = { nodeId: "n1", fence: 3, sessionId: null };

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

function openTest(more: Partial<LambdaOptions> = {}) {
  let nowMs = 1_000_000;
  const clock = { wallMs: () => nowMs, monoMs: () => nowMs, after: () => () => undefined };
  const from = { clock, random: seeded(1), fleetId: contractFleetId };
  const cloud = openMemoryCloud({ ...from, class: "tag-only" });
  const standIn = serveLambda(cloud);
  const close = async () => {
    await standIn.stop();
    await cloud.close();
    // Neither the adapter nor the stand-in leaves Lambda's document.
    expect(standIn.violations).toEqual([]);
  };
  opened.push({ close });
  const provider = openLambda({
    name: "lambda",
    key: LAMBDA_KEY,
    endpoint: standIn.url,
    settleMs: 600_000,
    requestMs: 0,
    launchMs: 0,
    fleetId: contractFleetId,
    clock,
    ...more,
  });
  return { provider, cloud, standIn, step: (ms: number) => void (nowMs += ms) };
}

providerContract(
  "openLambda()",
  async () => {
    const { provider, cloud, step } = openTest();
    return {
      provider,
      step,
      setFaults: (faults) => cloud.setFaults(faults),
      reality: () => cloud.reality(),
      close: () => Promise.resolve(),
    };
  },
  ["tag-only"],
);

const create = (provider: ReturnType<typeof openLambda>, change = {}) =>
  provider.create(contractRequest("n1", change), FENCE, null);
const json = (status: number, code: string) =>
  Response.json({ error: { code, message: "words for people" } }, { status });

describe("openLambda()", () => {
  test("leaves out labels that Lambda cannot hold, and keeps the time of the request", async () => {
    const { provider, step } = openTest();
    const { tags: own } = contractRequest("n1");
    const tags = { ...own, "navarch.dev/pool": "p", Team: "x", long: "v".repeat(129) };
    expect((await create(provider, { tags })).kind).toBe("ok");
    step(60_000);
    const answer = await provider.list();
    const [made] = answer.kind === "ok" ? answer.instances : [];
    expect(made?.tags).toEqual({ ...own, "navarch-asked-at": "1000000" });
    expect(made).toMatchObject({ createdAtMs: 1_000_000, pricePerHour: PRICE_CENTS / 100 });
  });

  const codes: [number, string, object][] = [
    [
      400,
      "instance-operations/launch/insufficient-capacity",
      { kind: "refused", class: "capacity" },
    ],
    [400, "global/quota-exceeded", { kind: "refused", class: "quota" }],
    [400, "global/invalid-parameters", { kind: "refused", class: "bad_request" }],
    [
      400,
      "instance-operations/launch/file-system-in-wrong-region",
      { kind: "refused", class: "bad_request" },
    ],
    [400, "global/object-does-not-exist", { kind: "refused", class: "bad_request" }],
    [404, "global/object-does-not-exist", { kind: "refused", class: "bad_request" }],
    [401, "global/invalid-api-key", { kind: "refused", class: "auth" }],
    [403, "global/account-inactive", { kind: "refused", class: "billing" }],
    [403, "global/invalid-address", { kind: "refused", class: "billing" }],
    [500, "global/internal-error", { kind: "ambiguous" }],
    [400, "provider/unknown", { kind: "ambiguous" }],
    [400, "some/new-code", { kind: "ambiguous" }],
  ];
  test.each(codes)("a launch answered with %i %s", async (status, code, expected) => {
    const { provider, standIn } = openTest();
    const asked = create(provider, { sshKeys: ["ops"] });
    standIn.next = json(status, code);
    expect(await asked).toMatchObject(expected);
  });

  const odd: [string, () => Response, object][] = [
    [
      "200 without an id",
      () => Response.json({ data: { instance_ids: [] } }),
      { kind: "ambiguous" },
    ],
    ["200 with HTML", () => new Response("<html>"), { kind: "ambiguous" }],
    ["200 of another shape", () => Response.json({ data: null }), { kind: "ambiguous" }],
    ["503 of a gateway", () => new Response("busy", { status: 503 }), { kind: "ambiguous" }],
    [
      "429 with Retry-After",
      () => new Response("", { status: 429, headers: { "retry-after": "12" } }),
      { kind: "refused", class: "rate_limit", retryAfterMs: 12_000 },
    ],
    [
      "a redirect",
      () => new Response("", { status: 301, headers: { location: "/elsewhere" } }),
      { kind: "refused", class: "bad_request" },
    ],
  ];
  test.each(odd)("a launch answered by %s", async (_what, response, expected) => {
    const { provider, standIn, cloud } = openTest();
    const asked = create(provider, { sshKeys: ["ops"] });
    standIn.next = response();
    expect(await asked).toMatchObject(expected);
    expect(cloud.reality().live).toEqual([]);
  });

  test("what is not there proves that nothing was sent", async () => {
    const { provider, standIn } = openTest({ endpoint: "http://127.0.0.1:1" });
    const answer = await create(provider, { sshKeys: ["ops"] });
    expect(answer).toMatchObject({ kind: "refused", class: "rate_limit" });
    expect(JSON.stringify(answer)).not.toContain(LAMBDA_KEY);
    expect(standIn.calls).toEqual([]);
  });

  test("a second launch within 12 seconds is not sent, and says when", async () => {
    const { provider, standIn, step } = openTest({ launchMs: 12_000 });
    const sshKeys = ["ops"];
    expect((await create(provider, { sshKeys })).kind).toBe("ok");
    step(2_000);
    expect(await create(provider, { sshKeys })).toMatchObject({
      kind: "refused",
      class: "rate_limit",
      retryAfterMs: 10_000,
    });
    expect(standIn.calls).toHaveLength(1);
    step(10_000);
    expect((await create(provider, { sshKeys })).kind).toBe("ok");
  });

  const keys: [string, string[], string[], object][] = [
    ["the account's only key", ["ops"], [], { kind: "ok" }],
    ["no key in the account", [], [], { class: "bad_request" }],
    ["several keys and none named", ["a", "b"], [], { class: "bad_request" }],
    ["several named", ["a", "b"], ["a", "b"], { class: "bad_request" }],
    ["one of several named", ["a", "b"], ["b"], { kind: "ok" }],
  ];
  test.each(keys)("SSH keys: %s", async (_what, account, sshKeys, expected) => {
    const { provider, standIn } = openTest();
    standIn.keys = account;
    const answer = await create(provider, { sshKeys });
    expect(answer).toMatchObject(expected);
    if (account.length === 2 && sshKeys.length === 0) {
      expect(answer.kind === "refused" && answer.message).toContain("one of a, b");
    }
  });

  test("a pool without a region is refused with the remedy, and nothing is sent", async () => {
    const { provider, standIn } = openTest();
    const answer = await create(provider, { region: null });
    expect(answer.kind === "refused" && answer.message).toContain("set it on the pool");
    expect(standIn.calls).toEqual([]);
  });

  test("a machine that cannot be restarted yet is asked again later", async () => {
    const { provider, standIn } = openTest();
    const asked = provider.reboot("i-1" as InstanceId, FENCE);
    standIn.next = json(409, "global/conflict");
    expect(await asked).toMatchObject({ kind: "refused", class: "rate_limit" });
  });

  test("an end that the reply does not name is not believed", async () => {
    const { provider, standIn } = openTest();
    const asked = provider.terminate("i-1" as InstanceId, FENCE);
    standIn.next = Response.json({ data: { terminated_instances: [] } });
    expect((await asked).kind).toBe("ambiguous");
  });

  test.each([404, 500, 401])("a list answered with %i is no empty list", async (status) => {
    const { provider, standIn } = openTest();
    const asked = provider.list();
    standIn.next = json(status, status === 401 ? "global/invalid-api-key" : "global/not-found");
    const cls = status === 401 ? "auth" : "unavailable";
    expect(await asked).toMatchObject({ kind: "failed", class: cls });
  });

  test.each([
    ["unhealthy", "running"],
    ["preempted", "terminated"],
    ["never-heard-of", "running"],
    ["constructor", "running"],
  ])("the status %s counts as %s", async (status, state) => {
    const { provider, standIn } = openTest();
    const asked = provider.list();
    const tags = [{ key: "navarch-fleet", value: contractFleetId }];
    const type = { name: "t", price_cents_per_hour: 100 };
    const one = { id: "i-1", status, region: { name: "r" }, instance_type: type, tags };
    standIn.next = Response.json({ data: [one] });
    const answer = await asked;
    expect(answer.kind === "ok" && answer.instances[0]).toMatchObject({ state, createdAtMs: 0 });
  });

  test("an instance that Lambda took back counts as terminated", async () => {
    const { provider, standIn, step } = openTest();
    const made = await create(provider);
    step(60_000);
    if (made.kind === "ok") standIn.preempted.add(made.instance.id);
    const answer = await provider.list();
    expect(answer.kind === "ok" && answer.instances[0]?.state).toBe("terminated");
  });

  test("calls at the account's rate are never answered with 429", async () => {
    const { provider, standIn, cloud, step } = openTest({ requestMs: 1_000, launchMs: 12_000 });
    let nowMs = 0;
    standIn.limits = { requestMs: 1_000, launchMs: 12_000, monoMs: () => nowMs };
    const wait = (ms: number) => {
      nowMs += ms;
      step(ms);
    };
    for (let round = 0; round < 3; round += 1) {
      expect((await create(provider, { sshKeys: ["ops"] })).kind).toBe("ok");
      wait(1_000);
      const held = await create(provider, { sshKeys: ["ops"] });
      expect(held).toMatchObject({ class: "rate_limit", retryAfterMs: 11_000 });
      wait(11_000);
    }
    expect(cloud.reality().live).toHaveLength(3);
    standIn.limits = { ...standIn.limits, launchMs: 60_000 };
    const answer = await create(provider, { sshKeys: ["ops"] });
    expect(answer).toMatchObject({ kind: "refused", class: "rate_limit" });
    expect(cloud.reality().live).toHaveLength(3);
  });

  const place = (change: Partial<Place> = {}): Place => ({
    region: "r1",
    zone: null,
    instanceType: "h100x8",
    market: "on-demand",
    reservation: null,
    ...change,
  });

  test("offers say where a type can be bought now, and its price", async () => {
    const { provider, standIn } = openTest();
    const asked = [
      place(),
      place({ region: "us-east-1" }),
      place({ market: "spot" }),
      place({ instanceType: "gpu_9x" }),
    ];
    const of = async () => {
      const answer = await provider.offers(asked);
      return answer.kind === "ok" ? answer.offers.map((one) => one.available) : answer;
    };
    expect(await of()).toEqual([true, false, false, false]);
    standIn.stock = ["us-east-1"];
    expect(await of()).toEqual([false, true, false, false]);
    const answer = await provider.offers(asked);
    const price = PRICE_CENTS / 100;
    const prices = answer.kind === "ok" ? answer.offers.map((one) => one.pricePerHour) : [];
    expect(prices).toEqual([price, price, price, null]);
    standIn.next = new Response("slow", { status: 429 });
    expect(await provider.offers(asked)).toMatchObject({ kind: "failed", class: "rate_limit" });
  });

  const inspections: [string, Partial<PoolPlace>, string][] = [
    ["a key that is registered", { sshKeys: ["ops"] }, ""],
    [
      "a key by a wrong name",
      { sshKeys: ["opz"] },
      "fail ssh key: opz is not registered: the account has ops",
    ],
    ["a sound place", {}, ""],
    ["no region", { region: null }, "fail region: not set: Lambda needs one, set region on"],
    ["a region by a wrong name", { region: "us-west1" }, "did you mean us-west-1?"],
    [
      "a type by a wrong name",
      { instanceType: "gpu_8x_h100_sxm" },
      "did you mean gpu_8x_h100_sxm5?",
    ],
    ["spot", { market: "spot" }, "fail market: Lambda sells on-demand instances only"],
  ];
  test.each(inspections)("inspect(): %s", async (_what, change, expected) => {
    const { provider } = openTest();
    const rows = await provider.inspect([place(change), place(change)]);
    const bad = rows.filter((row) => row.outcome !== "ok");
    const said = bad.map(({ check, outcome, message }) => `${outcome} ${check}: ${message}`);
    if (expected === "") {
      expect(rows.map(({ check }) => check)).toEqual([
        "credentials",
        "region",
        "instance type",
        "ssh key",
      ]);
    }
    expect(said.join("\n")).toContain(expected);
    expect(said.filter((line) => line.includes(expected))).toHaveLength(expected === "" ? 0 : 1);
  });

  test("inspect() of a wrong key, an inactive account and an account without SSH keys", async () => {
    const { provider, standIn } = openTest();
    standIn.keys = [];
    expect(await provider.inspect([place()])).toContainEqual({
      check: "ssh key",
      outcome: "fail",
      message: "the account has none: add one at cloud.lambda.ai/ssh-keys",
    });
    standIn.next = json(403, "global/account-inactive");
    const inactive = await provider.inspect([place()]);
    expect(inactive.map(({ check, outcome }) => [check, outcome])).toEqual([["billing", "fail"]]);
    const wrong = openTest({ key: "wrong-secret" });
    const rows = await wrong.provider.inspect([place()]);
    expect(rows).toMatchObject([{ check: "credentials", outcome: "fail" }]);
    expect(JSON.stringify(rows)).not.toContain("wrong-secret");
  });

  test("a spot request is refused before anything is sent", async () => {
    const { provider, standIn } = openTest();
    expect(await create(provider, { market: "spot" })).toMatchObject({ class: "bad_request" });
    expect(standIn.calls).toEqual([]);
  });

  test("a wrong key is an error of the account, and the key is in no message", async () => {
    const { provider } = openTest({ key: "wrong-secret" });
    const answer = await create(provider);
    expect(answer).toMatchObject({ kind: "refused", class: "auth" });
    expect(JSON.stringify(answer)).not.toContain("wrong-secret");
  });
});

describe("readLambdaSettings()", () => {
  test("takes the key from the variable or the file, without white space", () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-lambda-"));
    const file = join(folder, "key");
    writeFileSync(file, "from-file\n");
    const found = (settings: Record<string, string>, env = {}) => readLambdaSettings(settings, env);
    expect(found({}, { LAMBDA_API_KEY: " k1 " })).toMatchObject({ key: "k1", launchMs: 12_500 });
    expect(found({ apiKeyEnv: "MINE" }, { MINE: "k2" })).toMatchObject({ key: "k2" });
    expect(found({ apiKeyFile: file })).toMatchObject({ key: "from-file", requestMs: 1_100 });
    rmSync(folder, { recursive: true });
  });

  test.each([
    [{}, {}, "no API key: set LAMBDA_API_KEY or api_key_file, then restart"],
    [{ apiKeyFile: "/no/such/file" }, {}, "api_key_file /no/such/file cannot be read"],
    [{}, { LAMBDA_API_KEY: "a\nb" }, "not printable ASCII"],
  ])("says what is missing", (settings, env, message) => {
    expect(readLambdaSettings(settings as Record<string, string>, env)).toContain(message);
  });
});
