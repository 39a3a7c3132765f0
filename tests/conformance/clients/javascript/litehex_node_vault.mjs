// @litehex/node-vault: KV 1 and 2, with answers that its own schemas check.

import assert from "node:assert/strict";
import { Client } from "@litehex/node-vault";
import { at, step, user } from "./steps.mjs";

const vault = new Client({ endpoint: at.VAULT_ADDR, token: at.VAULT_TOKEN });
const app = { mountPath: "secret", path: "job/litehex/app" };
const got = ({ data, error }) => {
  assert.equal(error, undefined);
  return data;
};

await step("is it initialised", async () => {
  assert.equal(got(await vault.initialized()).initialized, true);
});

await step("KV 2: write, read, patch, list", async () => {
  assert.equal(got(await vault.kv2.write({ ...app, data: { a: "1", b: "x" } })).data.version, 1);
  got(await vault.kv2.patch({ ...app, data: { a: "2" } }));
  assert.deepEqual(got(await vault.kv2.read(app)).data.data, { a: "2", b: "x" });
  assert.deepEqual(got(await vault.kv2.list({ mountPath: "secret", path: "job/litehex" })).data.keys, ["app"]);
});

await step("KV 2: delete, undelete, destroy, metadata", async () => {
  got(await vault.kv2.deleteLatest(app));
  assert.ok((await vault.kv2.read(app)).error);
  got(await vault.kv2.undelete({ ...app, versions: [2] }));
  assert.equal(got(await vault.kv2.read(app)).data.data.a, "2");
  got(await vault.kv2.destroy({ ...app, versions: [1] }));
  assert.equal(got(await vault.kv2.readMetadata(app)).data.versions["1"].destroyed, true);
  got(await vault.kv2.deleteMetadata(app));
});

await step("KV 1: write, read, list, delete", async () => {
  const one = { mountPath: "kv1", path: "job/litehex" };
  got(await vault.kv.write({ ...one, data: { a: "1" } }));
  assert.deepEqual(got(await vault.kv.read(one)).data, { a: "1" });
  assert.ok(got(await vault.kv.list({ mountPath: "kv1", path: "job" })).data.keys.includes("litehex"));
  got(await vault.kv.delete(one));
});

await step("generic reading; a refusal is an error", async () => {
  assert.deepEqual(got(await vault.read({ path: "secret/data/job/app" })).data.data, user);
  const { data, error } = await vault.kv2.read({ mountPath: "secret", path: "others/app" });
  assert.equal(data, undefined);
  assert.match(error.message, /permission denied/);
});
