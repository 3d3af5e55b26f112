// The words of the pages, in English and Chinese.

const WORDS = {
  en: {
    alternatives: "Alternatives", answer_again: "Answer again", answered: "The answer is complete.", answering: "Answering …",
    api: "API", assistant: "Assistant", attach: "Attach a text file", before: "Text before the gap", after: "Text after the gap",
    branch: "Branch {number} of {total}", cached: "{number} from the prefix cache", cancel: "Cancel", chat: "Chat",
    close: "Close", conversations: "Conversations", copied: "Copied", copy: "Copy", cost: "cost {amount}", cut: "The answer was cut at the limit of tokens.",
    delete: "Delete", edit: "Edit", effort: "Effort", empty: "Ask something. The answer comes from this server.",
    example: "Insert an example", export_json: "Export all as JSON", export_markdown: "Export as Markdown",
    fill: "Fill in", fill_middle: "Fill in the middle", filled: "Text for the gap", first_token: "first token after {time}", forget_key: "Forget the API key",
    format: "Answer format", from_cache: "from the response cache", hint: "Enter sends, Shift+Enter starts a line, Ctrl+K shows all commands",
    import: "Import", key: "API key", key_needed: "This server asks for an API key. It is kept until this tab is closed.",
    key_wrong: "The server does not take this key.", language: "中文", lay_out: "Lay out", menu: "Menu", message: "Message",
    mock: "Mock result of {name}", model: "Model", new_conversation: "New conversation", next: "Next branch",
    no_storage: "This browser keeps no conversations: they are gone when the page is closed.",
    of_context: "{share} of the context", palette: "Commands", parameters: "Parameters", prefix: "The answer begins with",
    previous: "Previous branch", probabilities: "Probabilities", reasoned: "Reasoned for {time}", reasoning: "Reasoning",
    result: "Result of {name}", save: "Save", schema: "JSON Schema", search: "Search", send: "Send",
    send_result: "Send the result", settings: "Settings", share: "Share as one HTML file", show_as: "Show as", source: "Source",
    standard: "default", stop: "Stop", stop_texts: "Stop texts, one a line", stopped: "Stopped.", system: "System prompt",
    text: "text", theme: "Dark or light", thinking: "Thinking", thinking_off: "off",
    thinking_on: "on", tokens: "{prompt} + {completion} tokens", tokens_second: "{number} tokens/s", tool: "Tool",
    toolChoice: "Tool choice", tools: "Tools", tools_hint: "A JSON list of functions", too_large: "{name} is larger than {limit} bytes.",
    unreadable: "Not valid: {reason}", value_range: "Allowed: {range}", you: "You",
  },
  zh: {
    alternatives: "备选", answer_again: "重新回答", answered: "回答完成。", answering: "正在回答…", api: "API", assistant: "助手",
    attach: "附加文本文件", before: "空缺之前的文本", after: "空缺之后的文本", branch: "分支 {number}/{total}", cached: "前缀缓存命中 {number}",
    cancel: "取消", chat: "对话", close: "关闭", conversations: "对话列表", copied: "已复制", copy: "复制", cost: "费用 {amount}",
    cut: "回答因词元上限被截断。", delete: "删除", edit: "编辑", effort: "思考强度", empty: "请提问，由本服务器回答。",
    example: "插入示例", export_json: "全部导出为 JSON", export_markdown: "导出为 Markdown", fill: "填充", fill_middle: "中间填充", filled: "填充文本",
    first_token: "首个词元 {time}", forget_key: "忘记 API 密钥", format: "回答格式", from_cache: "来自响应缓存",
    hint: "Enter 发送，Shift+Enter 换行，Ctrl+K 显示全部命令", import: "导入", key: "API 密钥",
    key_needed: "此服务器需要 API 密钥。密钥保留到此标签页关闭为止。", key_wrong: "服务器不接受此密钥。", language: "English",
    lay_out: "格式化", menu: "菜单", message: "消息", mock: "{name} 的模拟结果", model: "模型", new_conversation: "新对话",
    next: "下一分支", no_storage: "此浏览器不保存对话：关闭页面后即消失。", of_context: "占上下文 {share}", palette: "命令", parameters: "参数",
    prefix: "回答的开头", previous: "上一分支", probabilities: "概率", reasoned: "思考了 {time}", reasoning: "思考过程",
    result: "{name} 的结果", save: "保存", schema: "JSON Schema", search: "搜索", send: "发送", send_result: "发送结果",
    settings: "设置", share: "分享为单个 HTML 文件", show_as: "显示为", source: "源文本", standard: "默认", stop: "停止",
    stop_texts: "停止文本（每行一个）", stopped: "已停止。", system: "系统提示", text: "文本", theme: "深色或浅色", thinking: "思考",
    thinking_off: "关", thinking_on: "开", tokens: "{prompt} + {completion} 词元",
    tokens_second: "{number} 词元/秒", tool: "工具", toolChoice: "工具选择", tools: "工具", tools_hint: "函数的 JSON 列表",
    too_large: "{name} 超过 {limit} 字节。", unreadable: "无效：{reason}", value_range: "允许范围：{range}", you: "你",
  },
};

export const LANGUAGES = Object.keys(WORDS);

/** A function that gives the words of a language, with `{names}` filled in. */
export function translator(language) {
  return (key, values = {}) => {
    const text = WORDS[language][key];
    if (text === undefined) throw new Error(`no words for ${key}`);
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  };
}

/** The keys of a language, for the tests. */
export const wordKeys = (language) => Object.keys(WORDS[language]);
