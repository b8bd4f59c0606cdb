/** The port's contract, against moto behind the proxy; botocore judges each request and reply. */
import { afterAll, test } from "bun:test";
import { providerContract } from "../../../port/provider.contract.ts";
import { openMoto, openSubject, underContractNames } from "./subject.ts";

const moto = await openMoto();
afterAll(async () => await moto?.stop());

if (moto === null) test.skip("the contract of the port", () => undefined);
else {
  providerContract(
    "openAws()",
    async () => {
      const { provider, proxy, step, close } = await openSubject(moto);
      return {
        provider: underContractNames(provider),
        step,
        setFaults: (faults) => proxy.setFaults(faults),
        reality: () => proxy.reality(),
        close,
        ignoresFences: true,
      };
    },
    ["token"],
  );
}
