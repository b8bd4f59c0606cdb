/**
 * `navarch doctor kube --kubeconfig` from the compiled binary, on a real API server: the client
 * path with a client certificate, and each way in which it fails.
 *
 * Adapter: processes, clock.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, cleanEnv, NAVARCH } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { openAuthority } from "../kubernetes/certificate.ts";
import { type Cluster, openCluster, type Ran } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the client path to an API server: ${missing}`);

test("a cluster is here to be connected to", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

async function doctor(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const child = Bun.spawn([NAVARCH, "doctor", "kube", ...args], {
    ...{ env: cleanEnv(env), stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 60_000 },
  });
  const ends = [child.stdout, child.stderr];
  const [out = "", err = ""] = await Promise.all(ends.map((end) => new Response(end).text()));
  return { code: await child.exited, out, err };
}

const linesOf = ({ out }: Ran): string[] => out.trimEnd().split("\n");
const namesOf = (ran: Ran, word: string): string[] =>
  linesOf(ran).flatMap((line) => new RegExp(`^${word} ([^:]+):`).exec(line)?.[1] ?? []);

const PARTS = [
  ...["tls", "client certificate", "list", "create", "merge patch", "strategic patch"],
  ...["JSON patch", "watch", "status patch", "eviction", "cleanup"],
];
const HOUR_MS = 3_600_000;

describe.skipIf(missing !== null)("doctor kube", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    await buildStale();
    cluster = await openCluster({ parts: { scheduler: false, kwok: false } });
  }, 300_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 60_000);

  const objects = async (): Promise<string> =>
    (await cluster.kubectl("get", "configmaps,pods,nodes", "-A", "-o", "name")).out;

  test("W57, A1: every part of the client path passes, and nothing is left", async () => {
    const before = await objects();
    const ran = await doctor(["--kubeconfig", cluster.kubeconfig()]);
    expect([ran.code, ran.err, namesOf(ran, "PASS")]).toEqual([0, "", PARTS]);
    expect(namesOf(ran, "FAIL")).toEqual([]);
    expect(ran.out).toContain("PASS client certificate: accepted as admin, valid until ");
    expect(await objects()).toBe(before);
    const sent = cluster.audit().filter(({ userAgent }) => userAgent?.startsWith("navarch-doctor"));
    const calls = sent.map(({ verb, objectRef }) => {
      return [verb, objectRef?.resource, objectRef?.subresource].filter(Boolean).join(" ");
    });
    for (const call of ["watch configmaps", "patch configmaps", "create pods eviction"]) {
      expect(calls).toContain(call);
    }
  });

  test("W57: with a Node the status patch is a dry run on it", async () => {
    await cluster.addNodes(1);
    const ran = await doctor(["--kubeconfig", cluster.kubeconfig(), "-o", "json"]);
    const rows = JSON.parse(ran.out) as { check: string; outcome: string; message: string }[];
    expect(rows.map(({ outcome }) => outcome)).toEqual(PARTS.map(() => "pass"));
    expect(rows.find(({ check }) => check === "status patch")?.message).toMatch(
      /^node .*, dry run$/,
    );
    expect((await cluster.kubectl("get", "nodes", "-o", "yaml")).out).not.toContain("navarch.dev");
  });

  test("W57: a user who lacks rights: each missing one is named", async () => {
    const ran = await doctor(["--kubeconfig", cluster.issue("limited")]);
    expect([ran.code, namesOf(ran, "PASS")]).toEqual([1, ["tls", "client certificate", "cleanup"]]);
    expect(ran.out).toContain("FAIL list: forbidden: limited may not list nodes");
    expect(ran.out).toContain("FAIL create: forbidden: limited may not create configmaps");
  });

  test("W57: an authority that did not sign the server's certificate", async () => {
    const other = openAuthority("other", Date.now()).certificate;
    const ran = await doctor(["--kubeconfig", cluster.issue("stranger", undefined, other)]);
    expect([ran.code, linesOf(ran).length]).toEqual([1, 1]);
    expect(ran.out).toMatch(
      /^FAIL tls: https:.* its certificate is not of the kubeconfig's authority/,
    );
  });

  test("W57: an expired client certificate", async () => {
    const nowMs = Date.now();
    const life = { fromMs: nowMs - 2 * HOUR_MS, untilMs: nowMs - HOUR_MS };
    const ran = await doctor(["--kubeconfig", cluster.issue("late", life)]);
    expect([ran.code, namesOf(ran, "PASS")]).toEqual([1, ["tls"]]);
    const ended = `${new Date(life.untilMs).toISOString().slice(0, 19)}.000Z`;
    expect(ran.out).toContain(`FAIL client certificate: expired at ${ended}`);
  });

  test("W57: files and contexts that are not there, and a server that is away", async () => {
    const absent = await doctor(["--kubeconfig", "/nowhere/config"]);
    expect([absent.code, absent.out]).toEqual([
      1,
      "FAIL kubeconfig: /nowhere/config: expected a kubeconfig, found no such file\n",
    ]);
    const unknown = await doctor(["--kubeconfig", cluster.kubeconfig(), "--context", "nosuch"]);
    expect([unknown.code, unknown.out]).toEqual([
      1,
      expect.stringContaining('no context "nosuch"'),
    ]);
    await cluster.stopApiserver();
    const away = await doctor(["--kubeconfig", cluster.kubeconfig()]);
    expect([away.code, away.out]).toEqual([1, expect.stringMatching(/^FAIL tls: https:.*\n$/)]);
    await cluster.startApiserver();
  }, 120_000);

  test("W57: without flags and without a control plane it checks KUBECONFIG", async () => {
    // Pages of the documentation run a control plane at the default address.
    const isTaken = await fetch("http://127.0.0.1:50051/healthz").then(
      () => true,
      () => false,
    );
    if (isTaken) return console.error("SKIPPED: port 50051 is in use");
    const env = { KUBECONFIG: cluster.kubeconfig(), NAVARCH_SERVER: "" };
    const ran = await doctor([], env);
    expect([ran.code, namesOf(ran, "FAIL")]).toEqual([0, []]);
    expect(ran.err).toContain("no control plane answers here");
    // A control plane that is named is asked, and nothing else.
    const named = await doctor(["-s", "http://127.0.0.1:1"], env);
    expect([named.code, named.out]).toEqual([5, ""]);
    expect((await doctor([])).code).toBe(5);
  });

  test("W57: a check that was killed is cleaned up by a later one", async () => {
    const labels = { "app.kubernetes.io/managed-by": "navarch-doctor" };
    const mine = { metadata: { name: "navarch-doctor-old", labels } };
    await cluster.json("/api/v1/namespaces/default/configmaps", { body: mine });
    await doctor(["--kubeconfig", cluster.kubeconfig()]);
    // It may belong to a check that is running.
    expect(await objects()).toContain("configmap/navarch-doctor-old");
  });
});
