import { expect, test } from "bun:test";
import * as v from "valibot";
import { Report } from "../../schema/report.ts";
import { logXid, newAgent, reportOf } from "./agent.ts";

test("reportOf() says exactly what the wire's schema reads, registered or not", () => {
  const agent = newAgent("n");
  agent.pool = "p";
  logXid(agent, 79, 1, Date.UTC(2026, 0, 1));
  for (const registered of [false, true]) {
    const report = reportOf("n", { ...agent, registered }, Date.UTC(2026, 0, 1), registered);
    expect(v.parse(Report, JSON.parse(JSON.stringify(report)))).toEqual(report);
  }
});
