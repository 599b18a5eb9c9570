// Runs the extension beside a stand-in for VS Code, opens the documents of argv[2], and prints what it has done.

const Module = require("module");
const path = require("path");

const done = { languages: {}, started: [], errors: [] };
const documents = JSON.parse(process.argv[2]).map(([fileName, languageId, text]) => ({ fileName, languageId, getText: () => text }));
const vscode = {
  commands: { registerCommand: () => ({}), executeCommand: async () => {} },
  languages: {
    setTextDocumentLanguage: async (document, language) => {
      done.languages[document.fileName] = language;
      return { ...document, languageId: language };
    },
  },
  window: { showErrorMessage: async (message) => void done.errors.push(message) },
  workspace: {
    isTrusted: process.argv[3] === "trusted",
    textDocuments: documents,
    workspaceFolders: [{ uri: { fsPath: process.argv[4] } }],
    createFileSystemWatcher: () => ({}),
    getConfiguration: () => ({ get: () => "" }),
    onDidOpenTextDocument: () => ({}),
  },
};
class LanguageClient {
  constructor(id, name, server) {
    this.server = server;
  }
  async start() {
    done.started.push([this.server.command, ...this.server.args].join(" "));
    if (process.argv[5] === "broken") throw new Error("no such command");
  }
  async stop() {}
}
const known = { vscode, "vscode-languageclient/node": { LanguageClient, TransportKind: { stdio: 0 } } };
const load = Module._load;
Module._load = (name, ...rest) => known[name] || load(name, ...rest);

const extension = require(path.resolve("extension.js"));
extension.activate({ subscriptions: [] }).then(() => console.log(JSON.stringify(done)));
