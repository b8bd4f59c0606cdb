/**
 * Two real agents of different versions and a real control plane: up, back again, over a restart of
 * the control plane, and not at all where the release is not what the order says.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { buildAgent, cleanUp, Rig, Service } from "./rig.ts";

let old = "";
let young = "";
let rig: Rig;
let service: Service;

beforeAll(async () => {
  old = await buildAgent("1.0.0");
  young = await buildAgent("1.1.0");
  rig = await new Rig().start();
  service = new Service(old, rig, "n1");
}, 60_000);
afterAll(async () => {
  await service.stop();
  await rig.kill();
  cleanUp();
});

const same = (a: string, b: string): boolean => readFileSync(a).equals(readFileSync(b));

test("an agent is upgraded by an order, and goes back by another", async () => {
  await rig.serves("n1", "1.0.0");
  const missing = await rig.call("POST", "/upgrade", { to: "1.1.0" });
  expect(missing.status).toBe(404);
  rig.release("1.1.0", young);
  const answer = await rig.call("POST", "/upgrade", { to: "1.1.0", max_unavailable: "50%" });
  expect(answer.status).toBe(202);
  await rig.reaches("running", "n1", "upgraded");
  expect(same(service.binary, young)).toBe(true);
  expect(same(`${service.binary}.previous`, old)).toBe(true);
  expect(service.statuses).toEqual([75]);
  // The next life of the control plane goes on with it.
  await rig.kill();
  await rig.start();
  await rig.reaches("running", "n1", "upgraded");
  await rig.call("DELETE", "/upgrade", { rollback: true, reason: "a change of mind" });
  await rig.reaches("rolled back", "n1", "back");
  expect(same(service.binary, old)).toBe(true);
  expect(service.statuses).toEqual([75, 75]);
  expect(existsSync(`${service.binary}.next`)).toBe(false);
}, 60_000);

test("a release that is not what its checksum says stops the upgrade and leaves no trace", async () => {
  await rig.serves("n1", "1.0.0");
  rig.release("1.2.0", young, "0".repeat(64));
  await rig.call("POST", "/upgrade", { to: "1.2.0" });
  await rig.reaches("rolled back", "n1", "back");
  expect((await rig.upgrade()).why).toContain("has the checksum");
  // One that is what its checksum says, but another version: it is tried before it is in place.
  rig.release("1.3.0", young);
  await rig.call("POST", "/upgrade", { to: "1.3.0" });
  await rig.reaches("rolled back", "n1", "back");
  expect((await rig.upgrade()).why).toContain("not navarch-node 1.3.0");
  expect(same(service.binary, old)).toBe(true);
  expect(existsSync(`${service.binary}.next`)).toBe(false);
  expect(service.statuses).toEqual([75, 75]);
}, 60_000);

test("the commands order, wait for, show and stop an upgrade", async () => {
  const unknown = await rig.cli("upgrade", "agents", "--to", "9.9.9");
  expect([unknown.code, unknown.err]).toEqual([3, expect.stringContaining("release 9.9.9")]);
  const bad = await rig.cli("upgrade", "agents", "--to", "1.2.0", "--max-unavailable", "ten");
  expect([bad.code, bad.err]).toEqual([2, expect.stringContaining("expected a percentage")]);
  const waited = await rig.cli("upgrade", "agents", "--to", "v1.2.0", "--wait");
  expect([waited.code, waited.err]).toEqual([7, expect.stringContaining("has the checksum")]);
  const status = await rig.cli("upgrade", "status");
  expect(status.out).toContain("Agents to 1.2.0: rolled back, 0 of 1 node has it");
  expect(status.out).toMatch(/^n1 +1\.0\.0 +back /m);
  const stopped = await rig.cli("upgrade", "stop");
  expect([stopped.code, stopped.out]).toEqual([0, expect.stringContaining("rolled back")]);
}, 60_000);
