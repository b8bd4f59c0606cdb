import { expect, test } from "bun:test";
import type { ProviderFailure } from "../../schema/provider-failure.ts";
import { Simulation } from "./simulation.ts";

const asked = (more: Partial<ProviderFailure> = {}): ProviderFailure => {
  return { class: "outage", untilMs: 100, calls: null, delayMs: 0, by: "ann", ...more };
};

test("W56: a failure of a provider ends by itself, by time and by calls", () => {
  let now = 0;
  const simulation = new Simulation({ wallMs: () => now }, () => true);
  expect(simulation.take("p", "list")).toBeNull();
  simulation.fail("p", asked());
  expect(simulation.take("p", "list")?.class).toBe("outage");
  expect(simulation.take("q", "list")).toBeNull();
  now = 100;
  expect(simulation.take("p", "list")).toBeNull();
  simulation.fail("p", asked({ untilMs: 200, calls: 2 }));
  expect([1, 2, 3].map(() => simulation.take("p", "create") !== null)).toEqual([true, true, false]);
  expect(simulation.failing("p")).toBeNull();
});

test("W56: a class counts and breaks only the calls that it is about", () => {
  const simulation = new Simulation({ wallMs: () => 0 }, () => true);
  const broken = (cls: ProviderFailure["class"]) => {
    simulation.fail("p", asked({ class: cls, calls: 9 }));
    const ops = ["create", "terminate", "reboot", "list", "offers", "quota"];
    return ops.filter((op) => simulation.take("p", op) !== null);
  };
  expect(broken("capacity")).toEqual(["create"]);
  expect(broken("lost_reply")).toEqual(["create", "terminate", "reboot"]);
  expect(broken("auth")).toHaveLength(6);
  simulation.fail("p", asked({ class: "capacity", calls: 1 }));
  simulation.take("p", "list");
  expect(simulation.failing("p")?.calls).toBe(1);
});

test("W56: nothing survives the switch, a leadership term, or its end", () => {
  let isOn = true;
  const simulation = new Simulation({ wallMs: () => 0 }, () => isOn);
  simulation.fail("p", asked());
  isOn = false;
  expect(simulation.take("p", "list")).toBeNull();
  isOn = true;
  expect(simulation.take("p", "list")).toBeNull();
  simulation.fail("p", asked());
  simulation.clear();
  expect(simulation.take("p", "list")).toBeNull();
  simulation.fail("p", asked());
  expect([simulation.heal("p"), simulation.heal("p")]).toEqual([true, false]);
});
