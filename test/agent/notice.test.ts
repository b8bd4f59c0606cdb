/** The compiled agent on a machine whose cloud announces its end to the machine itself. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MetadataServer } from "../fixture/cloud/metadata-server.ts";
import { agentBinary, type Running, scratch, startAgent } from "./binary.ts";
import { StubControlPlane, until } from "./control-plane.ts";

/** Asked every 5 s; a heartbeat comes only after 30 s. */
const TOLD_MS_MAX = 9_000;
const running: Running[] = [];
const services: (MetadataServer | StubControlPlane)[] = [];
beforeAll(() => void agentBinary());
afterAll(async () => {
  for (const agent of running) agent.signal("SIGKILL");
  for (const service of services) await service.stop();
});

type Given = { dmi: Record<string, string>; env?: (host: string) => Record<string, string> };

/** An agent without GPUs under this firmware; whatever honours a proxy reaches nothing. */
function start({ dmi, env }: Given) {
  const folder = scratch();
  const firmware = join(folder, "sys/class/dmi/id");
  mkdirSync(firmware, { recursive: true });
  for (const [name, text] of Object.entries(dmi)) writeFileSync(join(firmware, name), `${text}\n`);
  const metadata = new MetadataServer();
  const config = { heartbeat_ms: 30_000, sample_ms: 30_000, check_ms: 60_000 };
  const plane = new StubControlPlane({ hostname: "127.0.0.2", config }).start();
  services.push(metadata, plane);
  const proxy = { HTTP_PROXY: "http://127.0.0.3:9", NO_PROXY: "127.0.0.2" };
  const host = ["--host-sys", join(folder, "sys"), "--kernel-log", join(folder, "kmsg")];
  writeFileSync(join(folder, "kmsg"), "");
  const agent = startAgent(
    ["--server", plane.base, "--node-id", "n1", "--spool", join(folder, "spool"), ...host],
    { env: { ...proxy, http_proxy: proxy.HTTP_PROXY, ...env?.(metadata.host) } },
  );
  running.push(agent);
  const notices = () => plane.reports.flatMap(({ report }) => report.notice ?? []);
  return { agent, metadata, plane, notices };
}

const EC2 = { sys_vendor: "Amazon EC2", board_vendor: "Amazon EC2", product_name: "p5.48xlarge" };
const GCE = { sys_vendor: "Google", product_name: "Google Compute Engine" };
const atEc2 = (host: string) => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://${host}/` });
const atGce = (host: string) => ({ GCE_METADATA_HOST: host });

test("navarch-node on EC2 reports an announced end at once, and with each report after it", async () => {
  const { agent, metadata, plane, notices } = start({ dmi: EC2, env: atEc2 });
  await until("questions", () => metadata.asked.length >= 3, 15_000);
  await until("a report", () => plane.reports.length > 0);
  expect(notices()).toEqual([]);
  const time = new Date(Date.now() + 120_000).toISOString();
  metadata.word = { kind: "text", text: JSON.stringify({ action: "terminate", time }) };
  await until("the notice", () => notices().length > 0, TOLD_MS_MAX);
  const notice = { kind: "preemption", at: time, message: "EC2 Spot interruption: terminate" };
  expect(notices()).toEqual([notice] as never);
  agent.signal("SIGTERM");
  expect(await agent.exited).toBe(0);
  expect(notices().at(-1)).toEqual(notice as never);
  expect(agent.log()).toContain("the cloud announces the end of this machine");
}, 40_000);

test("navarch-node on Compute Engine does, while its control plane was away", async () => {
  const { metadata, plane, notices } = start({ dmi: GCE, env: atGce });
  await until("a report", () => plane.reports.length > 0, 15_000);
  await plane.stop();
  metadata.word = { kind: "text", text: "TRUE" };
  const asked = metadata.asked.length;
  await until("two questions", () => metadata.asked.length >= asked + 2, 15_000);
  plane.start();
  await until("the notice", () => notices().length > 0, 25_000);
  expect(notices()[0]).toMatchObject({ kind: "preemption", at: null });
}, 60_000);

test("navarch-node asks nowhere else, nor where it is told not to", async () => {
  const all = (host: string) => ({ ...atEc2(host), ...atGce(host) });
  const quiet = [
    start({ dmi: { sys_vendor: "Supermicro", product_name: "SYS-821GE" }, env: all }),
    start({ dmi: { sys_vendor: "Google", product_name: "Chromebox" }, env: all }),
    start({ dmi: EC2, env: (host) => ({ ...all(host), AWS_EC2_METADATA_DISABLED: "true" }) }),
    start({ dmi: GCE, env: (host) => ({ ...all(host), NO_GCE_CHECK: "true" }) }),
  ];
  const odd = start({ dmi: EC2, env: () => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: "nowhere" }) });
  for (const { plane } of [...quiet, odd]) {
    await until("a report", () => plane.reports.length > 0, 15_000);
  }
  await Bun.sleep(500);
  for (const { metadata, notices } of quiet) expect([metadata.asked, notices()]).toEqual([[], []]);
  expect(odd.agent.log()).toContain("the metadata address is no URL");
}, 60_000);
