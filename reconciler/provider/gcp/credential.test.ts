/** Tokens for Compute Engine: every source, their renewal, and what a wrong credential says. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveGce } from "../../../test/fixture/cloud/gce-server.ts";
import { serveTokens, type TokenDesk } from "../../../test/fixture/cloud/gce-token.ts";
import { openGcp } from "./gcp.ts";
import { readGcpSettings, whyNoPurchase, whyNoToken } from "./setting.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-gce-"));
afterAll(() => rmSync(folder, { recursive: true }));
const opened: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.stop();
});

const SUBJECT = "the-workload's-own-token";
const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const shape = { ...algorithm, modulusLength: 2_048, publicExponent: new Uint8Array([1, 0, 1]) };
const keys = await crypto.subtle.generateKey(shape, true, ["sign", "verify"]);
const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
const PEM = `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`;

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const keyFile = (desk: TokenDesk, change: object = {}) =>
  file("key.json", {
    type: "service_account",
    project_id: "p1",
    client_email: "buyer@p1.iam.gserviceaccount.com",
    private_key: PEM,
    private_key_id: "abc",
    token_uri: `${desk.url}/token`,
    ...change,
  });
const external = (desk: TokenDesk, source: object, more: object = {}) =>
  file("external.json", {
    type: "external_account",
    audience:
      "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    token_url: `${desk.url}/sts`,
    credential_source: source,
    ...more,
  });

const login = (desk: TokenDesk) => ({
  type: "authorized_user",
  client_id: "c",
  client_secret: "s",
  refresh_token: SUBJECT,
  token_uri: `${desk.url}/token`,
});
/** As `gcloud auth application-default login --impersonate-service-account` writes it. */
const acting = (desk: TokenDesk, source: unknown, more: object = {}) =>
  file("acting.json", {
    type: "impersonated_service_account",
    delegates: ["projects/-/serviceAccounts/middle@p1.iam.gserviceaccount.com"],
    service_account_impersonation_url: `${desk.url}/impersonate`,
    source_credentials: source,
    ...more,
  });

function openTest(settingsOf: (desk: TokenDesk) => object, env: Record<string, string> = {}) {
  let nowMs = 1_800_000_000_000;
  const wallMs = () => nowMs;
  const clock = { wallMs, monoMs: wallMs, after: () => () => undefined };
  const desk = serveTokens({ wallMs, publicKey: keys.publicKey, subject: SUBJECT });
  const standIn = serveGce({ wallMs, isValid: desk.isValid });
  opened.push(desk, standIn);
  const own = { HOME: folder, GCE_METADATA_HOST: desk.host, ...env };
  const given = { image: "i", endpoint: standIn.endpoint, ...settingsOf(desk) };
  const settings = readGcpSettings(given, own, clock);
  if (typeof settings === "string") throw new Error(settings);
  const provider = openGcp({ name: "gcp", ...settings, requestMs: 0, fleetId: "f", clock });
  return { provider, desk, standIn, step: (ms: number) => void (nowMs += ms) };
}

const sources: [string, (desk: TokenDesk) => object][] = [
  ["the metadata server", () => ({ project: "p1" })],
  ["a key file, which also names the project", (desk) => ({ credentialsFile: keyFile(desk) })],
  [
    "a user's login",
    (desk) => ({
      project: "p1",
      credentialsFile: file("user.json", login(desk)),
    }),
  ],
  [
    "a workload's token in a file",
    (desk) => {
      const source = { file: file("subject", `${SUBJECT}\n`) };
      return { project: "p1", credentialsFile: external(desk, source) };
    },
  ],
  [
    "a workload's token as JSON, and a service account",
    (desk) => {
      const format = { type: "json", subject_token_field_name: "token" };
      const source = { file: file("subject.json", { token: SUBJECT }), format };
      const more = { service_account_impersonation_url: `${desk.url}/impersonate` };
      return { project: "p1", credentialsFile: external(desk, source, more) };
    },
  ],
  [
    "a user's login that acts as a service account",
    (desk) => ({ project: "p1", credentialsFile: acting(desk, login(desk)) }),
  ],
  [
    "a key that acts as a service account",
    (desk) => {
      const key: unknown = JSON.parse(readFileSync(keyFile(desk), "utf8"));
      return { project: "p1", credentialsFile: acting(desk, key) };
    },
  ],
];

test.each(sources)("%s: one token for many calls, renewed before it ends", async (_what, of) => {
  const { provider, desk, standIn, step } = openTest(of);
  for (let i = 0; i < 3; i += 1) expect((await provider.list()).kind).toBe("ok");
  const once = desk.calls.length;
  expect(once).toBeLessThanOrEqual(2);
  step(3_600_000 - 200_000);
  const answers = await Promise.all([provider.list(), provider.list()]);
  expect(answers.map(({ kind }) => kind)).toEqual(["ok", "ok"]);
  expect(desk.calls).toHaveLength(2 * once);
  // Revoked in between: refused once, and sent again with another.
  desk.revoke();
  expect((await provider.list()).kind).toBe("ok");
  expect(standIn.calls.every((call) => call.startsWith("GET"))).toBe(true);
});

const wrong: [string, (desk: TokenDesk) => object, string][] = [
  [
    "a key that the endpoint refuses",
    (desk) => ({ credentialsFile: keyFile({ ...desk, url: `${desk.url}/other` }) }),
    "invalid_grant",
  ],
  [
    "no private key",
    (desk) => ({ credentialsFile: keyFile(desk, { private_key: "secret words" }) }),
    "invalid content",
  ],
  [
    "a token endpoint without TLS",
    (desk) => ({ credentialsFile: keyFile(desk, { token_uri: "http://192.0.2.1/token" }) }),
    "https",
  ],
  [
    "a file of another kind",
    () => ({ project: "p1", credentialsFile: file("odd.json", { type: "aws" }) }),
    "service_account, authorized_user, external_account or impersonated_service_account",
  ],
  ["no file", () => ({ project: "p1", credentialsFile: "/none/key.json" }), "cannot be read"],
  [
    "an unknown workload",
    (desk) => {
      const source = { file: file("stranger", "secret words") };
      return { project: "p1", credentialsFile: external(desk, source) };
    },
    "invalid_grant",
  ],
  [
    "a program as the source",
    (desk) => {
      const source = { executable: { command: "/bin/secret words", timeout_millis: 5_000 } };
      return { project: "p1", credentialsFile: external(desk, source) };
    },
    "credential_source.executable is not run: let the program keep its token in a file",
  ],
  [
    "AWS as the source",
    (desk) => {
      const source = { environment_id: "aws1", url: "http://169.254.169.254/secret words" };
      return { project: "p1", credentialsFile: external(desk, source) };
    },
    "credential_source.environment_id aws1 is not read: use a provider for tokens of OpenID",
  ],
  [
    "a program as the source of an impersonation",
    (desk) => {
      const source = { executable: { command: "/bin/x" } };
      const own: unknown = JSON.parse(readFileSync(external(desk, source), "utf8"));
      return { project: "p1", credentialsFile: acting(desk, own) };
    },
    "credential_source.executable is not run",
  ],
  [
    "an impersonation without TLS",
    (desk) => {
      const more = { service_account_impersonation_url: "http://192.0.2.1/x" };
      return { project: "p1", credentialsFile: acting(desk, login(desk), more) };
    },
    "the impersonation must be an https address",
  ],
];

test.each(wrong)(
  "%s: nothing is bought, and the reason names no secret",
  async (_what, of, why) => {
    const { provider, standIn } = openTest(of);
    const request = {
      ...{ token: "t", name: "n", nodeId: "n", region: null, zone: "r1-a", instanceType: "x" },
      ...{ market: "on-demand" as const, reservation: null, tags: {}, sshKeys: [] },
    };
    const fence = { nodeId: "n", fence: 1, sessionId: null };
    const answer = await provider.create(request, fence, null);
    expect(answer).toMatchObject({ kind: "refused", class: "auth" });
    expect(answer.kind === "refused" && answer.message).toContain(why);
    expect(answer.kind === "refused" && answer.message).toContain("replace the file, or set cred");
    expect(await provider.list()).toMatchObject({ kind: "failed", class: "auth" });
    const [found] = await provider.inspect([]);
    expect(found).toMatchObject({ check: "credentials", outcome: "fail" });
    expect(JSON.stringify([answer, found])).not.toMatch(/secret words|PRIVATE KEY|workload's-own/);
    expect(standIn.calls).toEqual([]);
  },
);

test("a token endpoint that is down is asked again later", async () => {
  const { provider, desk } = openTest(() => ({ project: "p1" }));
  desk.next = new Response("busy", { status: 503 });
  const answer = await provider.list();
  expect(answer).toMatchObject({ kind: "failed", class: "rate_limit" });
  const remedy = "(attach a service account to this machine, or set credentials_file)";
  expect(answer.kind === "failed" && answer.message).toEndWith(remedy);
  expect((await provider.list()).kind).toBe("ok");
});

test("an impersonation names the accounts between", async () => {
  const { provider, desk } = openTest((at) => ({
    project: "p1",
    credentialsFile: acting(at, login(at)),
  }));
  expect((await provider.list()).kind).toBe("ok");
  const delegates = ["projects/-/serviceAccounts/middle@p1.iam.gserviceaccount.com"];
  expect(desk.asked).toEqual([
    { scope: ["https://www.googleapis.com/auth/cloud-platform"], delegates },
  ]);
});

test("a source that is not taken is told before any call", () => {
  const at = (content: object) => whyNoToken({ credentialsFile: file("w.json", content) }, {});
  const whole = { audience: "a", subject_token_type: "t", token_url: "https://x" };
  const external = { type: "external_account", ...whole };
  const program = { ...external, credential_source: { executable: { command: "x" } } };
  expect(at(program)).toContain("credential_source.executable is not run");
  expect(at({ ...external, credential_source: { file: "x" } })).toBeNull();
  expect(at({ type: "gdch_service_account" })).toContain("is no service_account, authorized_user");
  expect(whyNoToken({ credentialsFile: "/none" }, {})).toBeNull();
});

test("settings say what is missing", () => {
  const env = { HOME: folder };
  expect(whyNoPurchase({}, env)).toContain("set project");
  expect(whyNoPurchase({ project: "My Project" }, env)).toContain("not its display name");
  // A pool may have it.
  expect(whyNoPurchase({ project: "p1" }, env)).toBeNull();
  expect(whyNoPurchase({ project: "example.com:p1", image: "i" }, env)).toBeNull();
  const named = { ...env, GOOGLE_APPLICATION_CREDENTIALS: file("p.json", { project_id: "p2" }) };
  expect(whyNoPurchase({ image: "i" }, named)).toBeNull();
});
