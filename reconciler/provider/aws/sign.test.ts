/** The signature of AWS's own test suite; botocore judges others in `test/real/cloud/aws`. */
import { expect, test } from "bun:test";
import { sign } from "./sign.ts";

const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

test("sign() makes the signature of post-x-www-form-urlencoded", () => {
  const atMs = Date.UTC(2015, 7, 30, 12, 36, 0);
  const url = new URL("https://example.amazonaws.com/");
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const request = { method: "POST", url, headers, body: "Param1=value1" };
  const scope = { service: "service", region: "us-east-1", atMs };
  const key = { accessKeyId: "AKIDEXAMPLE", secretKey: SECRET, sessionToken: null };
  const signed = sign(request, scope, key);
  expect(signed["x-amz-date"]).toBe("20150830T123600Z");
  expect(signed["authorization"]).toBe(
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
      "SignedHeaders=content-type;host;x-amz-date, " +
      "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
  );
  expect(JSON.stringify(signed)).not.toContain(SECRET);
  const session = sign(request, scope, { ...key, sessionToken: "tok" });
  expect(session["x-amz-security-token"]).toBe("tok");
  expect(session["authorization"]).toContain("x-amz-date;x-amz-security-token");
});
