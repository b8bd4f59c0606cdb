import { VirtualClock } from "../../../simulator/clock.ts";
import { describeKubeApi } from "./api.contract.ts";
import { openFakeKube } from "./fake.ts";

describeKubeApi("the server in memory is an API server", async () => {
  const clock = new VirtualClock();
  const fake = openFakeKube({ clock });
  return {
    api: fake,
    seed: async (plural, object) => {
      fake.seed(plural, object);
    },
    edit: async (plural, name, patch, how) => {
      fake.person.edit(plural, plural === "nodes" ? "" : "default", name, patch, how);
    },
    pass: (ms) => clock.pass(ms),
    close: async () => fake.close(),
  };
});
