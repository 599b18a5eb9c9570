// Starts `ptc lsp` for programs, and finds the programs that VS Code does not recognise by their first line.

const fs = require("fs");
const path = require("path");
const vscode = require("vscode");
const { isProgram } = require("./recognise");

let client;
let failed = false;

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("ptc.restart", async () => {
      await stop();
      await start();
    }),
    vscode.workspace.onDidOpenTextDocument(opened),
  );
  await Promise.all(vscode.workspace.textDocuments.map(opened));
}

/** A program that begins with a comment opens as plain text: it is told apart by its first line of code. */
async function opened(document) {
  if (document.languageId === "plaintext" && document.fileName.endsWith(".pt") && isProgram(document.getText())) {
    document = await vscode.languages.setTextDocumentLanguage(document, "ptc");
  }
  if (document.languageId === "ptc") {
    await start();
  }
}

async function start() {
  if (client || failed) {
    return;
  }
  const { LanguageClient, TransportKind } = require("vscode-languageclient/node");
  const server = { command: command(), args: ["lsp"], transport: TransportKind.stdio };
  const around = vscode.workspace.createFileSystemWatcher("**/*.{pt,jsonl,parquet,lock}");
  client = new LanguageClient("ptc", "ptc", server, {
    documentSelector: [{ language: "ptc" }],
    synchronize: { fileEvents: around }, // what a program imports or reads: it is checked again
  });
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    failed = true; // until the command that restarts it
    const choice = await vscode.window.showErrorMessage(
      `\`${server.command} lsp\` does not start. It comes with:  pip install "ptc[lsp]"`,
      "Set its path",
    );
    if (choice) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "ptc.path");
    }
  }
}

/** The setting, else the workspace's own environment, else whatever the PATH has. */
function command() {
  const chosen = vscode.workspace.getConfiguration("ptc").get("path");
  if (chosen) {
    return chosen;
  }
  const places = process.platform === "win32" ? ["Scripts", "ptc.exe"] : ["bin", "ptc"];
  const folders = vscode.workspace.isTrusted ? vscode.workspace.workspaceFolders || [] : [];
  const own = folders.map((folder) => path.join(folder.uri.fsPath, ".venv", ...places));
  return own.find((file) => fs.existsSync(file)) || "ptc";
}

async function stop() {
  const running = client;
  client = undefined;
  failed = false;
  if (running) {
    await running.stop();
  }
}

module.exports = { activate, deactivate: stop };
