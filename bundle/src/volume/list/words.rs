//! The words of the transfer list, in its two languages.

/// A language of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese, simplified.
    Chinese,
}

/// One language's words.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) file: &'static str,
    pub(super) bytes: &'static str,
    pub(super) product: &'static str,
    pub(super) channel: &'static str,
    pub(super) bundle: &'static str,
    pub(super) signed: &'static str,
    pub(super) unsigned: &'static str,
    pub(super) trusted: &'static str,
    pub(super) unknown_keys: &'static str,
    pub(super) fingerprint: &'static str,
    pub(super) set: &'static str,
    pub(super) gate: &'static str,
    pub(super) volumes: &'static str,
    pub(super) parity: &'static str,
    pub(super) data: &'static str,
    pub(super) total: &'static str,
    pub(super) tolerance: &'static str,
    pub(super) number: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) batch: &'static str,
    pub(super) day: &'static str,
    pub(super) content: &'static str,
    pub(super) check: &'static str,
    pub(super) approved: [&'static str; 4],
}

const ENGLISH: Words = Words {
    title: "Transfer list",
    file: "File",
    bytes: "Bytes",
    product: "Product",
    channel: "Channel / serial",
    bundle: "Bundle id",
    signed: "Signature",
    unsigned: "NOT SIGNED",
    trusted: "signed by trusted keys",
    unknown_keys: "signed; the keys were not compared with trusted ones",
    fingerprint: "Key fingerprint",
    set: "Set id",
    gate: "Gate",
    volumes: "Volumes",
    parity: "parity",
    data: "data",
    total: "Bytes of all volumes",
    tolerance: "Any {any} of the {all} volumes are enough; damaged ones still give their good blocks.",
    number: "No.",
    name: "Name",
    kind: "Kind",
    batch: "Batch",
    day: "Day",
    content: "Content",
    check: "Check in this folder:",
    approved: ["Requested by", "Approved by", "Carried by", "Received by"],
};

const CHINESE: Words = Words {
    title: "传输清单",
    file: "文件",
    bytes: "字节数",
    product: "产品",
    channel: "通道 / 序号",
    bundle: "安装包标识",
    signed: "签名",
    unsigned: "未签名",
    trusted: "由受信任的密钥签名",
    unknown_keys: "已签名；未与受信任的密钥比对",
    fingerprint: "密钥指纹",
    set: "分卷组标识",
    gate: "网闸配置",
    volumes: "分卷",
    parity: "校验卷",
    data: "数据卷",
    total: "全部分卷字节数",
    tolerance: "{all} 个分卷中任意 {any} 个即可还原；损坏分卷中完好的数据块仍可使用。",
    number: "序号",
    name: "名称",
    kind: "类别",
    batch: "批次",
    day: "日期（第几天）",
    content: "内容",
    check: "在本目录中核对：",
    approved: ["申请人", "审批人", "摆渡人", "接收人"],
};

impl Language {
    /// Its code in file names.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}
