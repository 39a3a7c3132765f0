// hashi-vault-js: its functions for tokens, AppRole, userpass and KV 2.

import assert from "node:assert/strict";
import Vault from "hashi-vault-js";
import { at, refused, step, user } from "./steps.mjs";

const vault = new Vault({ baseUrl: `${at.VAULT_ADDR}/v1`, timeout: 5000, proxy: false });
const status = (error) => error.response.status;
const [token, name] = [at.VAULT_TOKEN, "job/hashi-vault-js/app"];

await step("health and seal status", async () => {
  assert.equal((await vault.healthCheck()).sealed, false);
  assert.equal((await vault.sealStatus()).initialized, true);
});

await step("capabilities of oneself", async () => {
  const seen = await vault.sysCapabilitiesSelf(token, ["secret/data/job/app", "secret/data/others/app"]);
  assert.deepEqual(seen["secret/data/job/app"], ["create", "delete", "patch", "read", "update"]);
  assert.deepEqual(seen["secret/data/others/app"], ["deny"]);
});

await step("KV 2: create, read, update, list, metadata", async () => {
  assert.equal((await vault.createKVSecret(token, name, { a: "1" })).version, 1);
  assert.equal((await vault.updateKVSecret(token, name, { a: "2" }, 1)).version, 2);
  assert.deepEqual((await vault.readKVSecret(token, name)).data, { a: "2" });
  assert.deepEqual((await vault.readKVSecret(token, name, 1)).data, { a: "1" });
  assert.deepEqual((await vault.listKVSecrets(token, "job/hashi-vault-js")).keys, ["app"]);
  assert.equal((await vault.readKVSecretMeta(token, name)).current_version, 2);
});

await step("KV 2: a secret that is there is not created anew", () =>
  refused(vault.createKVSecret(token, name, { a: "3" }), 400, status));

await step("KV 2: delete, undelete, destroy, eliminate", async () => {
  await vault.deleteLatestVerKVSecret(token, name);
  await refused(vault.readKVSecret(token, name), 404, status);
  await vault.undeleteVersionsKVSecret(token, name, [2]);
  assert.deepEqual((await vault.readKVSecret(token, name)).data, { a: "2" });
  await vault.deleteVersionsKVSecret(token, name, [1]);
  await vault.destroyVersionsKVSecret(token, name, [1]);
  await refused(vault.readKVSecret(token, name, 1), 404, status);
  await vault.eliminateKVSecret(token, name);
  await refused(vault.listKVSecrets(token, "job/hashi-vault-js"), 404, status);
});

await step("another team's secret is refused with 403", () => refused(vault.readKVSecret(token, "others/app"), 403, status));

await step("a token: create, look up, renew, revoke", async () => {
  const made = await vault.createToken(token, { policies: ["job"], ttl: "10m" });
  const own = made.client_token;
  assert.equal((await vault.lookupToken(token, own)).accessor, made.accessor);
  assert.equal((await vault.lookupSelfToken(own)).accessor, made.accessor);
  assert.equal((await vault.renewSelfToken(own, "5m")).lease_duration, 300);
  assert.equal((await vault.renewToken(token, own, "2m")).lease_duration, 120);
  await vault.revokeSelfToken(own);
  await refused(vault.lookupSelfToken(own), 403, status);
  const second = (await vault.createToken(token, { policies: ["job"] })).client_token;
  await vault.revokeToken(token, second);
  await refused(vault.lookupSelfToken(second), 403, status);
});

await step("login: AppRole", async () => {
  const job = (await vault.loginWithAppRole(at.ROLE_ID, at.SECRET_ID)).client_token;
  assert.deepEqual((await vault.readKVSecret(job, "job/app")).data, user);
  await refused(vault.loginWithAppRole(at.ROLE_ID, "wrong"), 400, status);
});

await step("login: userpass", async () => {
  const person = (await vault.loginWithUserpass(at.USER_NAME, at.USER_PASSWORD)).client_token;
  assert.deepEqual((await vault.readKVSecret(person, "job/app")).data, user);
  await refused(vault.loginWithUserpass(at.USER_NAME, "wrong"), 400, status);
});

const root = at.ROOT_TOKEN;

await step("for operators: users", async () => {
  await vault.createUserpassUser(root, "eve", "fake-password-1", ["default"]);
  assert.ok((await vault.listUserpassUsers(root)).keys.includes("eve"));
  await vault.updateUserpassPassword(root, "eve", "fake-password-2");
  await vault.updateUserpassPolicies(root, "eve", ["job"]);
  assert.deepEqual((await vault.readUserpassUser(root, "eve")).token_policies, ["job"]);
  assert.deepEqual((await vault.loginWithUserpass("eve", "fake-password-2")).token_policies, ["default", "job"]);
  await vault.deleteUserpassUser(root, "eve");
  await refused(vault.readUserpassUser(root, "eve"), 404, status);
});

await step("for operators: secret ids, accessors, capabilities, settings of KV 2", async () => {
  const { secret_id } = await vault.generateAppRoleSecretId(root, "job", '{"run":"7"}');
  assert.deepEqual((await vault.readAppRoleSecretId(root, "job", secret_id)).metadata, { run: "7" });
  await vault.destroyAppRoleSecretId(root, "job", secret_id);
  await refused(vault.loginWithAppRole(at.ROLE_ID, secret_id), 400, status);
  const { accessor, client_token } = await vault.createToken(root, { policies: ["job"], ttl: "10m" });
  assert.ok((await vault.listAccessors(root)).keys.includes(accessor));
  assert.deepEqual((await vault.lookupAccessor(root, accessor)).policies, ["default", "job"]);
  assert.equal((await vault.renewAccessor(root, accessor, "5m")).lease_duration, 300);
  assert.deepEqual((await vault.sysCapabilities(root, client_token, ["kv1/others"]))["kv1/others"], ["deny"]);
  await vault.revokeAccessor(root, accessor);
  await vault.updateKVEngineConfig(root, { max_versions: 5 }, "mariadb");
  assert.equal((await vault.readKVEngineConfig(root, "mariadb")).max_versions, 5);
});
